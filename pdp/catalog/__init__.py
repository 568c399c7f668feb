"""The catalog: data that ships with the product. A part is `<name>.yaml` or all of `<name>/`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid5

from pdp.domain.detector import EntityDetector
from pdp.domain.model_catalog import ModelConfig, config_id
from pdp.domain.policy_pack import BUNDLE, PackRules, PolicyPack, PolicyRule
from pdp.domain.static_policy import StaticPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ACTOR: Final = "catalog"
"""The actor in the change log for changes by the catalog."""

_BUNDLES: Final = UUID("2c1a8f53-66b4-5e0d-9d7f-0c5b7a3e4d18")
"""Namespace of the ids of bundles and rules, so that they are the same everywhere."""


@dataclass(frozen=True, slots=True)
class SystemPolicy:
    """A system policy, with texts that it must and must not match."""

    policy: StaticPolicy
    matching: tuple[str, ...]
    not_matching: tuple[str, ...]


def static_policies() -> tuple[SystemPolicy, ...]:
    """Returns the system static policies, in the order of the files and of their entries."""
    return tuple(_system_policy(entry) for entry in entries("static_policies", "policies"))


def detectors() -> Mapping[str, EntityDetector]:
    """Returns the detectors by id, in the order of the files and of their entries."""
    shipped = (_detector(entry) for entry in entries("detectors", "detectors"))
    return {each.id: each for each in shipped}


def models() -> tuple[ModelConfig, ...]:
    """Returns the models, in the order in which they are added."""
    return tuple(
        ModelConfig(**entry, id=config_id(entry["provider"], entry["model_id"]))
        for entry in entries("models", "models")
    )


def model_names() -> Mapping[str, tuple[str, ...]]:
    """Returns names that providers and hosts use for models, by the model that they mean."""
    return {entry["model"]: tuple(entry["names"]) for entry in entries("model_names", "names")}


def policy_packs() -> tuple[PackRules, ...]:
    """Returns the bundles with their rules by sequence; ids are derived from keys."""
    return tuple(_bundle(entry) for entry in entries("policy_packs", "packs"))


def digest(part: str) -> str:
    """Returns a hash of all files of a part, without parsing YAML."""
    combined = hashlib.sha256()
    for text in _sources(part):
        combined.update(hashlib.sha256(text).digest())
    return combined.hexdigest()


def entries(part: str, key: str) -> Iterator[dict[str, Any]]:
    """Yields the entries of the list `key` in each file of a part, in the order of the files."""
    # Imported here: if the store has this catalog already, a start parses no YAML.
    import yaml  # noqa: PLC0415

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for text in _sources(part):
        yield from yaml.load(text, loader)[key]  # noqa: S506 - a safe loader


def _sources(part: str) -> Iterator[bytes]:
    file = files(__name__) / f"{part}.yaml"
    if file.is_file():
        yield file.read_bytes()
        return
    for each in sorted((files(__name__) / part).iterdir(), key=lambda entry: entry.name):
        if each.name.endswith(".yaml"):
            yield each.read_bytes()


def _system_policy(entry: dict[str, Any]) -> SystemPolicy:
    examples = entry.pop("examples")
    return SystemPolicy(
        StaticPolicy(**entry, system=True), tuple(examples["match"]), tuple(examples["no_match"])
    )


def _detector(entry: dict[str, Any]) -> EntityDetector:
    other_fields = {"examples", "rule", "weak"}
    rest = {name: value for name, value in entry.items() if name not in other_fields}
    lists = {name: tuple(entry.get(name, ())) for name in ("patterns", "context", "against")}
    weak = {each["pattern"]: each["confidence"] for each in entry.get("weak", ())}
    patterns = (*lists["patterns"], *weak)
    allowed = frozenset(value.lower() for value in entry.get("allowlist", ()))
    return EntityDetector(
        **{**rest, **lists, "patterns": patterns, "weak": weak, "allowlist": allowed}
    )


def _bundle(entry: dict[str, Any]) -> PackRules:
    key, rules = entry.pop("key"), entry.pop("rules")
    pack_id = str(uuid5(_BUNDLES, key))
    pack_rules = tuple(
        PolicyRule(
            **{name: value for name, value in rule.items() if name not in {"key", "examples"}},
            id=str(uuid5(_BUNDLES, f"{key}/{rule['key']}")),
            pack_id=pack_id,
            sequence=sequence,
        )
        for sequence, rule in enumerate(rules)
    )
    pack = PolicyPack(**entry, id=pack_id, pack_type=BUNDLE, rule_count=len(pack_rules))
    return PackRules(pack, pack_rules)
