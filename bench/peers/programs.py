"""Gets the programs that are compared, from the package registries, once.

Everything lands under `build/peers`, so that a second run builds nothing. A program that cannot be
had is named in the report, with the reason.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT: Final = Path(__file__).resolve().parent.parent.parent
FOLDER: Final = ROOT / "build" / "peers"

CERBOS: Final = "@cerbos/cerbos-linux-x64@0.55.0"
OPA: Final = "github.com/open-policy-agent/opa@v1.22.3"
OPENFGA: Final = "github.com/openfga/openfga/cmd/openfga@v1.22.1"

INSTALL_TIMEOUT_S: Final = 1800
"""OPA and OpenFGA are compiled, which takes up to ten minutes each."""

NOT_TO_BE_HAD: Final = {
    "opa-envoy-plugin (OPA over gRPC)": "the Go module proxy refuses it",
    "LLM Guard": "its scanners load their models from a hub when they run",
    "Presidio's own default, the large model of spaCy": (
        "it is in no package registry; the small one costs less"
    ),
}
"""What was left out in advance, with the reason."""


class Unavailable(Exception):
    """A program cannot be had; the message says why."""


def cerbos() -> Path:
    """Returns the program of Cerbos.

    Raises:
        Unavailable: npm is missing or cannot install it.
    """
    folder = FOLDER / "node"
    program = folder / "node_modules" / "@cerbos" / "cerbos-linux-x64" / "cerbos-linux-x64"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        options = ("--no-save", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", folder)
        _run("npm", ("install", *map(str, options), CERBOS))
    return program


def opa() -> Path:
    """Returns the program of OPA.

    Raises:
        Unavailable: Go is missing or cannot build it.
    """
    return _go_program("opa", OPA)


def openfga() -> Path:
    """Returns the program of OpenFGA.

    Raises:
        Unavailable: Go is missing or cannot build it.
    """
    return _go_program("openfga", OPENFGA)


def load_generator() -> Path:
    """Returns the load generator, built from `bench/peers/load`.

    Raises:
        Unavailable: Go is missing or cannot build it.
    """
    program, source = FOLDER / "bin" / "load", Path(__file__).parent / "load"
    newest = max(each.stat().st_mtime for each in source.iterdir())
    if not program.exists() or program.stat().st_mtime < newest:
        _run("go", ("build", "-o", str(program), "."), cwd=source)
    return program


def _go_program(name: str, module: str) -> Path:
    program = FOLDER / "bin" / name
    if not program.exists():
        print(f"building {module}, which takes minutes", flush=True)
        _run("go", ("install", module), environment={"GOBIN": str(program.parent)})
    return program


def _run(
    program: str,
    arguments: Sequence[str],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    if shutil.which(program) is None:
        raise Unavailable(f"{program} is not installed")
    try:
        done = subprocess.run(
            ("nice", program, *arguments),
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{program} did not finish in {INSTALL_TIMEOUT_S} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"{program} failed"]
        raise Unavailable(lines[-1])
