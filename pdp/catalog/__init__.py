"""What ships with the product, as versioned data: a part is `<name>.yaml` or all of `<name>/`."""

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
"""Who changes what ships with the product, in the change log."""


_BUNDLES: Final = UUID("2c1a8f53-66b4-5e0d-9d7f-0c5b7a3e4d18")
"""Names bundles and their rules, so that they have the same ids everywhere."""


@dataclass(frozen=True, slots=True)
class SystemPolicy:
    """A system static policy, with the texts that it must and must not match."""

    policy: StaticPolicy
    matching: tuple[str, ...]
    not_matching: tuple[str, ...]


def static_policies() -> tuple[SystemPolicy, ...]:
    """Returns the system static policies, in the order of the files and within each."""
    return tuple(_system_policy(entry) for entry in entries("static_policies", "policies"))


def detectors() -> Mapping[str, EntityDetector]:
    """Returns the detectors by id, in the order of the files and within each."""
    found = (_detector(entry) for entry in entries("detectors", "detectors"))
    return {each.id: each for each in found}


def models() -> tuple[ModelConfig, ...]:
    """Returns the models, in the order in which they are to be added."""
    return tuple(
        ModelConfig(**entry, id=config_id(entry["provider"], entry["model_id"]))
        for entry in entries("models", "models")
    )


def policy_packs() -> tuple[PackRules, ...]:
    """Returns the bundles with their rules by sequence; ids are made of their keys."""
    return tuple(_bundle(entry) for entry in entries("policy_packs", "packs"))


def digest(part: str) -> str:
    """Returns a number that differs when anything in a part does; cheap, no YAML is read."""
    whole = hashlib.sha256()
    for text in _sources(part):
        whole.update(hashlib.sha256(text).digest())
    return whole.hexdigest()


def entries(part: str, key: str) -> Iterator[dict[str, Any]]:
    """Yields what the list `key` holds in each file of a part, in the order of the files."""
    # Imported here: a store that holds this catalog already is started without reading YAML.
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
    left_out = {"examples", "rule", "weak"}
    rest = {name: value for name, value in entry.items() if name not in left_out}
    lists = {name: tuple(entry.get(name, ())) for name in ("patterns", "context", "against")}
    weak = {each["pattern"]: each["confidence"] for each in entry.get("weak", ())}
    patterns = (*lists["patterns"], *weak)
    allowed = frozenset(value.lower() for value in entry.get("allowlist", ()))
    made = {**rest, **lists, "patterns": patterns, "weak": weak, "allowlist": allowed}
    return EntityDetector(**made)


def _bundle(entry: dict[str, Any]) -> PackRules:
    key, rules = entry.pop("key"), entry.pop("rules")
    pack_id = str(uuid5(_BUNDLES, key))
    made = tuple(
        PolicyRule(
            **{name: value for name, value in rule.items() if name not in {"key", "examples"}},
            id=str(uuid5(_BUNDLES, f"{key}/{rule['key']}")),
            pack_id=pack_id,
            sequence=sequence,
        )
        for sequence, rule in enumerate(rules)
    )
    return PackRules(PolicyPack(**entry, id=pack_id, pack_type=BUNDLE, rule_count=len(made)), made)
