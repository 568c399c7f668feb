"""The DLP rules of a tenant, compiled: what each looks for, and how strict it is for whom.

`pdp.domain.effective_dlp_rules` says which rules are in force. Here they are gathered by detector, so that
what several rules look for is located once, and by pattern, so that a request costs what its own
finds cost, hardly anything for the rules that there are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain.detector import entity_aliases
from pdp.domain.dlp_rule import ACTION_TIERS, KIND, REGEX, DlpRule
from pdp.domain.effective_dlp_rules import effective_dlp_rules
from pdp.domain.user_group import all_groups
from pdp.engine.dlp.caller_entities import caller_entity_rules
from pdp.engine.dlp.config import ENTITY_TYPE_MARK, known_config
from pdp.engine.dlp.group_index import NO_GROUPS, GroupIndex
from pdp.engine.dlp.named_entities import labels_of, wanted_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pdp.domain.detector import EntityDetector
    from pdp.domain.effective_dlp_rules import EffectiveDlpRules
    from pdp.domain.ner import EntityLabel
    from pdp.domain.policy_set import PolicySet
    from pdp.domain.request import Subject
    from pdp.domain.user_group import UserGroup
    from pdp.engine.dlp.caller_entities import CallerEntityRules
    from pdp.engine.dlp.entities import EntityFinding

PLATFORM_SOURCE: Final = "platform"
TENANT_SOURCE: Final = "tenant"

RANKS: Final = {tier: rank for rank, tier in enumerate(ACTION_TIERS)}


class Setting(NamedTuple):
    """How strict a rule is.

    Attributes:
        rank: of its action tier; see `RANKS`.
        threshold: findings below it do not count.
    """

    rank: int
    threshold: float

    @property
    def tier(self) -> str:
        """One of `ACTION_TIERS`."""
        return ACTION_TIERS[self.rank]


@dataclass(frozen=True, slots=True)
class CompiledDlpRule:
    """A rule that is in force for someone.

    Attributes:
        rule: as everyone has it, else as the first group that has it does.
        source: `platform` or `tenant`.
        everyone: how strict it is for all users; None where it is in force for groups alone.
        groups: how strict it is for those of a group, by the group's id.
        detectors: what it looks for by patterns.
        sought: what of it only a model can find.
        replacement, message: see `DlpConfig`.
    """

    rule: DlpRule
    source: str
    everyone: Setting | None
    groups: Mapping[str, Setting]
    detectors: tuple[EntityDetector, ...]
    sought: tuple[EntityLabel, ...]
    replacement: str
    message: str

    def setting(self, groups: frozenset[str]) -> Setting | None:
        """Returns how strict the rule is for who is in `groups`; None where it is not in force.

        Of several settings, the strongest tier and the lowest threshold count.
        """
        own = self.everyone
        if groups and self.groups:
            for group_id, each in self.groups.items():
                if group_id in groups:
                    own = each if own is None else _strictest(own, each)
        return own

    def entity_type(self, finding: EntityFinding) -> str:
        """Returns what the rule calls a finding: by the rule's own type, unless it has several."""
        several = self.rule.detector_type != REGEX and len(labels_of(self.rule)) > 1
        return finding.entity_type if several else self.rule.entity_type

    def replacement_of(self, finding: EntityFinding) -> str:
        """Returns what a finding is replaced by."""
        if ENTITY_TYPE_MARK in self.replacement:
            return self.replacement.replace(ENTITY_TYPE_MARK, self.entity_type(finding))
        return self.replacement


class Watch(NamedTuple):
    """A detector, and the places of the rules that ask for what it finds."""

    detector: EntityDetector
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RuleBook:
    """All DLP rules that are in force for anyone of a tenant.

    Attributes:
        rules: the tenant's own first, so that their replacements count before the platform's.
        by_pattern: what is looked for by each pattern.
        models: the places of the rules that ask for what only a model can find.
        told: the rules that count a caller's own findings, by the type of these.
        patterned: the entity types that detectors that ship with the product find by patterns.
        groups: the groups that have settings of their own.
    """

    rules: tuple[CompiledDlpRule, ...]
    by_pattern: Mapping[str, tuple[Watch, ...]]
    models: tuple[int, ...]
    told: Mapping[str, CallerEntityRules]
    patterned: frozenset[str]
    groups: GroupIndex | None

    def groups_of(self, subject: Subject) -> frozenset[str]:
        """Returns the groups with settings of their own that a subject is in."""
        return NO_GROUPS if self.groups is None else self.groups.of(subject)


def compile_rules(
    platform: PolicySet,
    own: PolicySet,
    catalog: Mapping[str, EntityDetector],
    previous: RuleBook | None = None,
) -> RuleBook:
    """Compiles the rules that are in force for a tenant.

    Args:
        platform: the platform's policies.
        own: the tenant's.
        catalog: the detectors that ship with the product.
        previous: an earlier book of the tenant and the same catalog, whose rules are used again.

    Raises:
        KeyError: a rule names a detector that there is not.
    """
    in_force = effective_dlp_rules(platform, own)
    patterned = _patterned(catalog)
    known = {each.rule.id: each for each in previous.rules} if previous else {}
    rules = _compiled(in_force, own.of_kind(KIND), catalog, patterned, known)
    groups: Iterable[UserGroup] = all_groups(platform, own).values()
    configured = [group for group in groups if group.id in in_force.groups]
    return RuleBook(
        rules=rules,
        by_pattern=_by_pattern(rules),
        models=tuple(place for place, each in enumerate(rules) if each.sought),
        told=caller_entity_rules([each.rule for each in rules], catalog),
        patterned=patterned,
        groups=GroupIndex(configured) if configured else None,
    )


def compile_one(rule: DlpRule, catalog: Mapping[str, EntityDetector]) -> RuleBook:
    """Compiles a rule that no tenant has, alone; see `compile_rules`."""
    patterned = _patterned(catalog)
    rules = (_rule(rule, TENANT_SOURCE, _setting(rule), catalog, patterned),)
    models = (0,) if rules[0].sought else ()
    return RuleBook(
        rules, _by_pattern(rules), models, caller_entity_rules([rule], catalog), patterned, None
    )


def _patterned(catalog: Mapping[str, EntityDetector]) -> frozenset[str]:
    return frozenset().union(*(entity_aliases(each.entity_type) for each in catalog.values()))


def _by_pattern(rules: Sequence[CompiledDlpRule]) -> dict[str, tuple[Watch, ...]]:
    places: dict[str, list[int]] = {}
    detectors: dict[str, EntityDetector] = {}
    for place, each in enumerate(rules):
        for detector in each.detectors:
            detectors[detector.id] = detector
            places.setdefault(detector.id, []).append(place)
    found: dict[str, tuple[Watch, ...]] = {}
    for detector_id, asking in places.items():
        watch = Watch(detectors[detector_id], tuple(asking))
        for pattern in watch.detector.patterns:
            found[pattern] = (*found.get(pattern, ()), watch)
    return found


def _compiled(
    in_force: EffectiveDlpRules,
    mine: Mapping[str, DlpRule],
    catalog: Mapping[str, EntityDetector],
    patterned: frozenset[str],
    known: Mapping[str, CompiledDlpRule],
) -> tuple[CompiledDlpRule, ...]:
    by_group: dict[str, dict[str, Setting]] = {}
    rules = dict(in_force.everyone)
    for group_id, changed in in_force.groups.items():
        for rule in changed.values():
            rules.setdefault(rule.id, rule)
            by_group.setdefault(rule.id, {})[group_id] = _setting(rule)
    found: list[CompiledDlpRule] = []
    for rule in sorted(rules.values(), key=lambda rule: rule.id not in mine):
        groups = by_group.get(rule.id, {})
        everyone = _setting(rule) if rule.id in in_force.everyone else None
        present = known.get(rule.id)
        if (
            present is not None
            and (present.rule is rule or present.rule == rule)
            and (present.everyone, present.groups) == (everyone, groups)
        ):
            found.append(present)
        else:
            source = TENANT_SOURCE if rule.id in mine else PLATFORM_SOURCE
            made = _rule(rule, source, everyone, catalog, patterned)
            found.append(replace(made, groups=groups) if groups else made)
    return tuple(found)


def _rule(
    rule: DlpRule,
    source: str,
    everyone: Setting | None,
    catalog: Mapping[str, EntityDetector],
    patterned: frozenset[str],
) -> CompiledDlpRule:
    config = known_config(rule, catalog)
    return CompiledDlpRule(
        rule=rule,
        source=source,
        everyone=everyone,
        groups={},
        detectors=config.detectors,
        sought=wanted_by(rule, patterned),
        replacement=config.replacement,
        message=config.message,
    )


def _setting(rule: DlpRule) -> Setting:
    return Setting(RANKS[rule.action_tier], rule.confidence_threshold)


def _strictest(one: Setting, other: Setting) -> Setting:
    return Setting(max(one.rank, other.rank), min(one.threshold, other.threshold))
