"""Prepares the environment of the container image: removes what no container uses, writes its SBOM.

The Dockerfile runs `python -m tools.image /opt/pdp` in the environment of the build.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

SBOM: Final = "share/pdp/sbom.cdx.json"
"""The bill of materials (CycloneDX) in the environment."""

INSTALLERS: Final = ("pip", "setuptools", "wheel")

UNUSED_FOLDERS: Final = (
    "phonenumbers/carrierdata",
    "phonenumbers/geodata",
    "phonenumbers/tzdata",
)
"""Data of packages, by its path in site-packages: only modules that the product never imports
read it."""

SOURCES: Final = frozenset({".c", ".h", ".pxd", ".pyi", ".pyx"})
"""Files that only compilers and type checkers read."""


def main() -> None:
    """Prepares the environment that the argument names."""
    (name,) = sys.argv[1:]
    environment = Path(name)
    (site_packages,) = environment.glob("lib/python*/site-packages")
    remove_unused(site_packages)
    strip_symbols(site_packages)
    # pip removes itself, too.
    _run(str(environment / "bin/python"), "-m", "pip", "uninstall", "--quiet", "--yes", *INSTALLERS)
    write_sbom(environment)


def remove_unused(site_packages: Path) -> None:
    """Removes data and sources that the product does not read.

    Raises:
        SystemExit: a folder is missing, so a package has changed.
    """
    for name in UNUSED_FOLDERS:
        folder = site_packages / name
        if not folder.is_dir():
            sys.exit(f"tools.image: {name} does not exist. Correct UNUSED_FOLDERS.")
        shutil.rmtree(folder)
    for path in list(site_packages.rglob("*")):
        if path.suffix in SOURCES and path.is_file():
            path.unlink()


def strip_symbols(site_packages: Path) -> None:
    """Removes the symbols of debuggers from compiled modules."""
    modules = [str(path) for path in site_packages.rglob("*.so")]
    _run("strip", "--strip-unneeded", *modules)


def write_sbom(environment: Path) -> None:
    """Writes the bill of materials of the installed packages."""
    target = environment / SBOM
    target.parent.mkdir(parents=True, exist_ok=True)
    _run(
        *(sys.executable, "-m", "cyclonedx_py", "environment", "--pyproject", "pyproject.toml"),
        *("--output-reproducible", "--of", "JSON", "--output-file", str(target)),
        str(environment / "bin/python"),
    )


def _run(*command: str) -> None:
    subprocess.run(command, check=True)  # noqa: S603 - the commands are those above


if __name__ == "__main__":
    main()
