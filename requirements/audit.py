"""`make audit`: what can be checked of the dependencies without a network.

* Every dependency is pinned to one version, with the SHA-256 of each of its files; none comes from
  an address, a repository or a folder.
* What runs is pinned to the same versions in both files.
* What is installed is what is pinned, and nothing else.

There is no list of vulnerabilities offline: compare the SBOM with one where there is a network.
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
"""What is installed without being pinned: the product, and what installs."""


def entries_of(text: str) -> list[str]:
    """Returns the requirements of a file, each on one line."""
    joined = text.replace("\\\n", " ")
    lines = (line.partition(" #")[0].strip() for line in joined.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def pinned(text: str, name: str) -> tuple[dict[str, str], list[str]]:
    """Returns the version of each dependency that a file pins for this machine, and all faults.

    Args:
        text: of the file.
        name: what faults call it.
    """
    versions: dict[str, str] = {}
    faults: list[str] = []
    for entry in entries_of(text):
        hashes = HASH.findall(entry)
        try:
            requirement = Requirement(HASH.sub("", entry))
        except InvalidRequirement:
            faults.append(f"{name}: {entry.split()[0]} is no pinned requirement")
            continue
        pins = [each.version for each in requirement.specifier if each.operator == "=="]
        if requirement.url or len(pins) != 1 or len(requirement.specifier) != 1:
            faults.append(f"{name}: {requirement.name} is not pinned to one version")
        elif not hashes or not all(SHA256.fullmatch(each) for each in hashes):
            faults.append(f"{name}: {requirement.name} has no SHA-256, or one that is malformed")
        elif requirement.marker is None or requirement.marker.evaluate():
            versions[canonicalize_name(requirement.name)] = pins[0]
    return versions, faults


def differences(run: dict[str, str], dev: dict[str, str]) -> list[str]:
    """Returns what runs at another version than it is developed with."""
    return [
        f"{name}: {version} in run.txt, {dev.get(name, 'nothing')} in dev.txt"
        for name, version in sorted(run.items())
        if dev.get(name) != version
    ]


def strays(dev: dict[str, str]) -> list[str]:
    """Returns what is installed otherwise than it is pinned."""
    installed: dict[str, str] = {
        canonicalize_name(each.name): each.version for each in distributions()
    }
    wrong = [
        f"{name}: {installed.get(name, 'nothing')} is installed, {version} is pinned"
        for name, version in sorted(dev.items())
        if installed.get(name) != version
    ]
    unknown = sorted(installed.keys() - dev.keys() - OWN)
    return wrong + [f"{name}: is installed, and is not pinned" for name in unknown]


def main() -> None:
    """Prints what was checked, and every fault; exits with 1 where there is one."""
    run, faults = pinned((FOLDER / "run.txt").read_text(encoding="utf-8"), "run.txt")
    dev, more = pinned((FOLDER / "dev.txt").read_text(encoding="utf-8"), "dev.txt")
    faults += more + differences(run, dev) + strays(dev)
    sys.stdout.writelines(f"{fault}\n" for fault in faults)
    print(f"{len(run)} dependencies run, {len(dev)} with those of developers; {len(faults)} faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
