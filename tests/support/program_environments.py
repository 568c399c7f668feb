"""Programs of others, each installed once into an environment of its own under `build/programs`.

The versions and hashes are pinned in `requirements/NAME.txt`. Parallel tests wait for the one that
installs.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, NoReturn

import pytest

ROOT: Final = Path(__file__).parents[2]
PROGRAMS: Final = ROOT / "build/programs"

INSTALL_TIMEOUT_S: Final = 900


def environment_of(name: str) -> Path:
    """Returns the environment with the packages of `requirements/NAME.txt`.

    If they cannot be installed, the test is skipped; in CI, it fails.

    Args:
        name: the name of the file.
    """
    pins = ROOT / f"requirements/{name}.txt"
    digest = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()[:16]
    PROGRAMS.mkdir(parents=True, exist_ok=True)
    with (PROGRAMS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        target = PROGRAMS / name
        stamp = target / "installed"
        if not stamp.exists() or stamp.read_text() != digest:
            shutil.rmtree(target, ignore_errors=True)
            _install(name, pins, target)
            stamp.write_text(digest)
    return target


def _install(name: str, pins: Path, target: Path) -> None:
    _run(name, sys.executable, "-m", "venv", str(target))
    _run(
        name,
        str(target / "bin/python"),
        *("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"),
        *("--require-hashes", "--only-binary", ":all:", "--requirement", str(pins)),
    )


def _run(name: str, *command: str) -> None:
    try:
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        unavailable(f"{name}: the package index did not answer in time")
    else:
        if result.returncode != 0:
            lines = result.stderr.strip().splitlines() or ["no output"]
            unavailable(f"{name} cannot be installed: {lines[-1]}")


def unavailable(reason: str) -> NoReturn:
    """Skips a test that needs something which is not installed; fails it in CI."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
