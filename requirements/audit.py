"""`make audit`: checks the dependencies without a network.

* Every dependency is pinned to one version, with the SHA-256 of each of its files. None comes from
  a URL, a repository or a folder.
* All files pin the same versions.
* The installed packages are exactly those in dev.txt. Those in bench.txt and spark.txt may be there
  as well.

There is no list of vulnerabilities offline. If you have a network, compare the SBOM with such a
list.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

FOLDER: Final = Path(__file__).parent
HASH: Final = re.compile(r"\s--hash=(\S+)")
SHA256: Final = re.compile(r"sha256:[0-9a-f]{64}")
OWN: Final = frozenset({"pdp", "pip", "setuptools", "wheel"})
"""Packages that need no pin: the product itself, and the installers."""

OPTIONAL: Final = ("bench.txt", "spark.txt")
"""The files of what only some targets install."""

FAST: Final = frozenset({"pygrpc-native"})
"""Packages that `make fast` builds from what fast.txt pins. They are not installed by default."""

IMAGE_FILES: Final = ("image.txt", "image-build.txt")
"""What is in the container image, and what builds it."""


def entries_of(text: str) -> list[str]:
    """Returns the requirements of a file, each on one line."""
    joined = text.replace("\\\n", " ")
    lines = (line.partition(" #")[0].strip() for line in joined.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def pinned(text: str, name: str) -> tuple[dict[str, str], list[str]]:
    """Returns the version of each dependency that a file pins for this machine, and the faults.

    Args:
        text: the content of the file.
        name: the name of the file, for the faults.
    """
    versions: dict[str, str] = {}
    faults: list[str] = []
    for entry in entries_of(text):
        hashes = HASH.findall(entry)
        try:
            requirement = Requirement(HASH.sub("", entry))
        except InvalidRequirement:
            faults.append(f"{name}: {entry.split()[0]} is not a pinned requirement")
            continue
        pins = [each.version for each in requirement.specifier if each.operator == "=="]
        if requirement.url or len(pins) != 1 or len(requirement.specifier) != 1:
            faults.append(f"{name}: {requirement.name} is not pinned to one version")
        elif not hashes or not all(SHA256.fullmatch(each) for each in hashes):
            faults.append(f"{name}: {requirement.name} has no SHA-256, or a malformed one")
        elif requirement.marker is None or requirement.marker.evaluate():
            versions[canonicalize_name(requirement.name)] = pins[0]
    return versions, faults


def differences(run: dict[str, str], dev: dict[str, str]) -> list[str]:
    """Returns the dependencies that run.txt and dev.txt pin to different versions."""
    return [
        f"{name}: {version} in run.txt, {dev.get(name, 'nothing')} in dev.txt"
        for name, version in sorted(run.items())
        if dev.get(name) != version
    ]


def conflicts(dev: dict[str, str], extra: dict[str, str], file: str) -> list[str]:
    """Returns the dependencies that dev.txt and an optional file pin to different versions."""
    return [
        f"{name}: {version} in {file}, {dev[name]} in dev.txt"
        for name, version in sorted(extra.items())
        if dev.get(name, version) != version
    ]


def unpinned_packages(dev: dict[str, str], extra: dict[str, str] | None = None) -> list[str]:
    """Returns the installed packages that differ from the pins, or have no pin.

    Args:
        dev: the version of each package that must be installed.
        extra: the version of each package that may be installed.
    """
    installed: dict[str, str] = {
        canonicalize_name(each.name): each.version for each in distributions()
    }
    wrong = [
        f"{name}: {installed.get(name, 'nothing')} is installed, {version} is pinned"
        for name, version in sorted(dev.items())
        if installed.get(name) != version
    ]
    optional = {name: version for name, version in (extra or {}).items() if name not in dev}
    wrong += [
        f"{name}: {installed[name]} is installed, {version} is pinned"
        for name, version in sorted(optional.items())
        if installed.get(name, version) != version
    ]
    unknown = sorted(installed.keys() - dev.keys() - optional.keys() - OWN - FAST)
    return wrong + [f"{name}: is installed, but is not pinned" for name in unknown]


def main() -> None:
    """Prints every fault and a summary; exits with 1 if there is a fault."""
    run, faults = pinned((FOLDER / "run.txt").read_text(encoding="utf-8"), "run.txt")
    dev, more = pinned((FOLDER / "dev.txt").read_text(encoding="utf-8"), "dev.txt")
    _, fast_faults = pinned((FOLDER / "fast.txt").read_text(encoding="utf-8"), "fast.txt")
    faults += fast_faults + more + differences(run, dev)
    for name in IMAGE_FILES:
        image, found = pinned((FOLDER / name).read_text(encoding="utf-8"), name)
        faults += found + conflicts(dev, image, name)
    optional: dict[str, str] = {}
    for file in OPTIONAL:
        extra, others = pinned((FOLDER / file).read_text(encoding="utf-8"), file)
        faults += others + conflicts(dev, extra, file)
        optional |= extra
    faults += unpinned_packages(dev, optional)
    sys.stdout.writelines(f"{fault}\n" for fault in faults)
    print(f"{len(run)} dependencies in run.txt, {len(dev)} in dev.txt; {len(faults)} faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
