"""Builds and tests the clients: `make clients`.

A client in another language is left out if its toolchain is missing, unless `CI` is set: then that
is an error.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tools.protos import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOLDER: Final = ROOT / "clients"
PACKAGES: Final = ROOT / "dist/clients"
BIN: Final = Path(sys.executable).parent

_DISTRIBUTIONS: Final = ("sdist", "wheel")


class Toolchain(NamedTuple):
    """How the client of one language is built.

    Attributes:
        programs: what must be installed, with what a reader calls it.
        generate: the commands that write its committed stubs; they run in its folder.
        check: the commands that build and test it.
    """

    programs: Mapping[str, str]
    generate: Sequence[Sequence[str]]
    check: Sequence[Sequence[str]]


TOOLCHAINS: Final[Mapping[str, Toolchain]] = {
    "python": Toolchain(
        {},
        (),
        [
            (sys.executable, "-m", "hatchling", "build", "-t", each, "-d", str(PACKAGES))
            for each in _DISTRIBUTIONS
        ],
    ),
    "go": Toolchain(
        {"go": "Go 1.26 or newer", "cc": "a C compiler"},
        (("./generate.sh",),),
        (("go", "vet", "./..."), ("go", "test", "-race", "./...")),
    ),
    "typescript": Toolchain(
        {"node": "Node.js 20 or newer", "npm": "npm"},
        (("npm", "ci", "--no-audit", "--no-fund"), ("npm", "run", "generate")),
        (
            ("npm", "ci", "--no-audit", "--no-fund"),
            ("npm", "test"),
            ("npm", "pack", "--pack-destination", str(PACKAGES)),
        ),
    ),
    "java": Toolchain(
        {"java": "Java 17 or newer", "mvn": "Maven"},
        (),
        (("mvn", "--quiet", "--batch-mode", "verify"),),
    ),
}


def missing(language: str) -> list[str]:
    """Returns what the toolchain of a language lacks on this machine."""
    return [
        name for program, name in TOOLCHAINS[language].programs.items() if not shutil.which(program)
    ]


def can_build(language: str) -> bool:
    """Returns whether the toolchain of a language is installed; prints what is left out.

    Raises:
        SystemExit: it is not, and `CI` is set.
    """
    lacking = missing(language)
    if lacking:
        print(f"left out: clients/{language} needs {' and '.join(lacking)}")
        if os.environ.get("CI"):
            raise SystemExit(1)
    return not lacking


def run(language: str, commands: Sequence[Sequence[str]]) -> None:
    """Runs commands in the folder of a client, one after the other.

    Raises:
        SystemExit: one has failed.
    """
    environment = {**os.environ, "PDP_PROGRAM": str(BIN / "pdp")}
    for command in commands:
        print(f"clients/{language}: {' '.join(command)[:100]}", flush=True)
        begin = time.monotonic()
        code = subprocess.run(  # noqa: S603 - the commands are those above
            command, cwd=FOLDER / language, env=environment, check=False
        ).returncode
        if code:
            raise SystemExit(f"clients/{language}: the command has failed with {code}")
        print(f"clients/{language}: done in {time.monotonic() - begin:.0f} s", flush=True)


def main(arguments: Sequence[str]) -> None:
    """Generates the stubs of the clients, or builds and tests the clients.

    Args:
        arguments: `generate` or `check`, then the languages; all if there are none.

    Raises:
        SystemExit: a command has failed, or a toolchain is missing in CI.
    """
    action, *languages = arguments
    PACKAGES.mkdir(parents=True, exist_ok=True)
    for language in languages or TOOLCHAINS:
        toolchain = TOOLCHAINS[language]
        commands = toolchain.generate if action == "generate" else toolchain.check
        if commands and can_build(language):
            run(language, commands)


if __name__ == "__main__":
    main(sys.argv[1:])
