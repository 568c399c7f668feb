"""What ships with the product, as versioned data: system policies in `static_policies/*.yaml`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from pdp.domain.static_policy import StaticPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator

ACTOR: Final = "catalog"
"""Who changes system policies, in the change log."""


@dataclass(frozen=True, slots=True)
class SystemPolicy:
    """A system static policy, with the texts that it must and must not match."""

    policy: StaticPolicy
    matching: tuple[str, ...]
    not_matching: tuple[str, ...]


def static_policies() -> tuple[SystemPolicy, ...]:
    """Returns the system static policies, in the order of the files and within each."""
    # Imported here: a store that holds this catalog already is started without reading YAML.
    import yaml  # noqa: PLC0415

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return tuple(
        _system_policy(entry)
        for text in _sources()
        for entry in yaml.load(text, loader)["policies"]  # noqa: S506 - a safe loader
    )


def digest() -> str:
    """Returns a number that differs when anything in the catalog does; cheap, no YAML is read."""
    whole = hashlib.sha256()
    for text in _sources():
        whole.update(hashlib.sha256(text).digest())
    return whole.hexdigest()


def _sources() -> Iterator[bytes]:
    folder = files(__name__) / "static_policies"
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".yaml"):
            yield file.read_bytes()


def _system_policy(entry: dict[str, Any]) -> SystemPolicy:
    examples = entry.pop("examples")
    return SystemPolicy(
        StaticPolicy(**entry, system=True), tuple(examples["match"]), tuple(examples["no_match"])
    )
