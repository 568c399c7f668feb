"""Compiles the DLP rules of a tenant: what each rule detects, and how strict it is for whom.

`pdp.domain.effective_dlp_rules` computes which rules are in force. This module groups them by
detector, so that a value that several rules detect is located once. It also groups them by pattern,
so that the cost of a request depends on its findings, and hardly on the number of rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.domain.detector import entity_aliases
from pdp.domain.dlp_rule import ACTION_TIERS, KIND, REGEX, DlpRule
from pdp.domain.effective_dlp_rules import EffectiveDlpRules, effective_dlp_rules, is_acting
from pdp.domain.group_resolver import NO_GROUPS, GroupResolver
from pdp.domain.user_group import KIND as GROUP_KIND
from pdp.domain.user_group import all_groups
from pdp.engine.dlp.caller_entities import caller_entity_rules, categories_of, same_types
from pdp.engine.dlp.config import ENTITY_TYPE_PLACEHOLDER, read_stored_config
from pdp.engine.dlp.named_entities import labels_of, model_entities
from pdp.engine.dlp.overlay import Overlay
from pdp.engine.rules.placement import Placement, compile_placement

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pdp.domain.detector import EntityDetector
    from pdp.domain.ner import EntityLabel
    from pdp.domain.policy_set import PolicySet
    from pdp.domain.request import Subject
    from pdp.domain.user_group import UserGroup
    from pdp.engine.dlp.caller_entities import CallerEntityRules
    from pdp.engine.dlp.entities import EntityFinding

PLATFORM_SOURCE: Final = "platform"
TENANT_SOURCE: Final = "tenant"

TIER_RANKS: Final = {tier: rank for rank, tier in enumerate(ACTION_TIERS)}


class RuleSetting(NamedTuple):
    """How strict a rule is.

    Attributes:
        rank: the rank of its action tier; see `TIER_RANKS`.
        threshold: findings of lower confidence do not count.
    """

    rank: int
    threshold: float

    @property
    def tier(self) -> str:
        """One of `ACTION_TIERS`."""
        return ACTION_TIERS[self.rank]


@dataclass(frozen=True, slots=True)
class CompiledDlpRule:
    """A rule that is in force for at least one user or group.

    Attributes:
        rule: the rule for all users; if it is in force only for groups, that of the first group.
        source: `platform` or `tenant`.
        everyone: the setting for all users; None if the rule is in force only for groups, or was
            switched off since the book was compiled.
        groups: the settings for groups, by the group's id.
        detectors: the detectors whose patterns the rule uses.
        model_entities: the entities of the rule that only a model can find.
        replacement, message: see `DlpConfig`.
        placement: where and when the rule applies; None if it always does, with one tier.
    """

    rule: DlpRule
    source: str
    everyone: RuleSetting | None
    groups: Mapping[str, RuleSetting]
    detectors: tuple[EntityDetector, ...]
    model_entities: tuple[EntityLabel, ...]
    replacement: str
    message: str
    placement: Placement | None = None

    def setting(self, groups: frozenset[str]) -> RuleSetting | None:
        """Returns the setting for a subject in `groups`; None if the rule is not in force for it.

        If several settings apply, the strictest tier and the lowest threshold count.
        """
        setting = self.everyone
        if groups and self.groups:
            for group_id, each in self.groups.items():
                if group_id in groups:
                    setting = each if setting is None else _strictest(setting, each)
        return setting

    def rank_in(self, scope: str, setting: RuleSetting) -> int:
        """Returns the rank of the tier of findings in a place; 0 if the rule does not look there.

        A tier in `scope_actions` replaces the rule's own, but not one that a group makes stricter.

        Args:
            scope: the place; one of `pdp.domain.placement.SCOPES`.
            setting: the setting for the subject.
        """
        placement = self.placement
        if placement is None:
            return setting.rank
        if not placement.looks_in(scope):
            return 0
        action = placement.actions.get(scope)
        if action is None:
            return setting.rank
        is_stricter = self.everyone is None or setting.rank > self.everyone.rank
        return max(TIER_RANKS[action], setting.rank) if is_stricter else TIER_RANKS[action]

    def entity_type(self, finding: EntityFinding) -> str:
        """Returns the rule's entity type; the finding's own if the rule has several labels."""
        several = self.rule.detector_type != REGEX and len(labels_of(self.rule)) > 1
        return finding.entity_type if several else self.rule.entity_type

    def replacement_of(self, finding: EntityFinding) -> str:
        """Returns the replacement of a finding."""
        if ENTITY_TYPE_PLACEHOLDER in self.replacement:
            return self.replacement.replace(ENTITY_TYPE_PLACEHOLDER, self.entity_type(finding))
        return self.replacement


class DetectorUse(NamedTuple):
    """A detector, and the indexes of the rules that use it."""

    detector: EntityDetector
    rule_indexes: tuple[int, ...]


UsesByPattern = Mapping[str, tuple[DetectorUse, ...]]
"""The detectors that use each pattern."""

NO_USES: Final[UsesByPattern] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class RuleBook:
    """All DLP rules that are in force in a tenant.

    Attributes:
        rules: the rules, by index. The order of indexes is that of the rules: the tenant's own are
            first, so that their replacements take precedence over the platform's. In a book that
            extends the platform's, they have negative indexes.
        by_pattern: the detectors that use each pattern.
        model_rules: the indexes of the rules with entities that only a model can find.
        caller_entities: the rules that count caller entities, by entity type.
        pattern_types: the entity types for which built-in detectors have patterns.
        categories: see `categories_of`.
        groups: the groups that have their own settings; None if there are none.
    """

    rules: tuple[CompiledDlpRule, ...]
    by_pattern: Mapping[str, tuple[DetectorUse, ...]]
    model_rules: tuple[int, ...]
    caller_entities: Mapping[str, CallerEntityRules]
    pattern_types: frozenset[str]
    categories: Mapping[str, str]
    groups: GroupResolver | None

    def groups_of(self, subject: Subject) -> frozenset[str]:
        """Returns the ids of the groups with their own settings that a subject is in."""
        return NO_GROUPS if self.groups is None else self.groups.ids_of(subject)


def compile_rules(
    platform: PolicySet,
    own: PolicySet,
    catalog: Mapping[str, EntityDetector],
    previous: RuleBook | None = None,
) -> RuleBook:
    """Compiles the rules that are in force in a tenant.

    Args:
        platform: the platform's policies.
        own: the tenant's policies.
        catalog: the built-in detectors.
        previous: an earlier book of the tenant with the same catalog; unchanged rules are reused.

    Raises:
        KeyError: a rule names an unknown detector.
    """
    in_force = effective_dlp_rules(platform, own)
    pattern_types, categories = _pattern_types(catalog), categories_of(catalog)
    compiled = {each.rule.id: each for each in previous.rules} if previous else {}
    rules = _compile(in_force, own.of_kind(KIND), catalog, pattern_types, compiled)
    groups: Iterable[UserGroup] = all_groups(platform, own).values()
    configured = [group for group in groups if group.id in in_force.groups]
    return RuleBook(
        rules=rules,
        by_pattern=_by_pattern(_uses(enumerate(rules))),
        model_rules=tuple(index for index, each in enumerate(rules) if each.model_entities),
        caller_entities=caller_entity_rules(_sources(enumerate(rules)), categories),
        pattern_types=pattern_types,
        categories=categories,
        groups=GroupResolver(configured) if configured else None,
    )


def extend_rules(
    shared: RuleBook,
    platform: PolicySet,
    own: Mapping[str, DlpRule],
    catalog: Mapping[str, EntityDetector],
    previous: RuleBook | None = None,
) -> RuleBook | None:
    """Compiles a tenant's own rules, as an extension of the platform's book.

    The time and the memory depend on the tenant's own rules only.

    Args:
        shared: the platform's book, with the same catalog.
        platform: the platform's policies.
        own: the tenant's rules, by id. The tenant has no other policies that DLP depends on.
        catalog: the built-in detectors.
        previous: see `compile_rules`.

    Returns:
        The book; None if a rule of the tenant may change how the platform's rules apply.

    Raises:
        KeyError: a rule names an unknown detector.
    """
    if not _is_extension(platform, own):
        return None
    compiled = {each.rule.id: each for each in previous.rules} if previous else {}
    acting = {rule.id: rule for rule in own.values() if is_acting(rule)}
    in_force = EffectiveDlpRules(acting, {})
    rules = _compile(in_force, own, catalog, shared.pattern_types, compiled)
    indexed = [(index - len(rules), each) for index, each in enumerate(rules)]
    uses = _uses(indexed)
    callers = caller_entity_rules(_sources(indexed), shared.categories)
    for name in callers:
        if name in shared.caller_entities:
            callers[name] = callers[name].joined(shared.caller_entities[name])
    model_rules = tuple(index for index, each in indexed if each.model_entities)
    return replace(
        shared,
        rules=(*shared.rules, *rules),
        by_pattern=Overlay(_by_pattern(uses, shared.by_pattern), shared.by_pattern),
        model_rules=(*model_rules, *shared.model_rules),
        caller_entities=Overlay(callers, shared.caller_entities),
    )


def replace_rules(
    book: RuleBook, changed: Mapping[str, DlpRule], catalog: Mapping[str, EntityDetector]
) -> RuleBook | None:
    """Returns `book` with other versions of some of a tenant's own rules.

    Only these rules are compiled. The result finds what that of `compile_rules` finds. A rule that
    is switched off keeps its place, without a setting, so that it can be switched on again. No
    bundle and no group may have any of the rules, before or after the change.

    Args:
        book: the rules in force.
        changed: the new versions by id.
        catalog: the built-in detectors.

    Returns:
        None if the whole book must be compiled: a rule is not in it, or the rules that share a
        detector, a pattern or an entity type would be others.

    Raises:
        KeyError: a rule names an unknown detector.
    """
    places = [place for place, each in enumerate(book.rules) if each.rule.id in changed]
    if len(places) != len(changed):
        return None
    own, shared = _layers_of(book.by_pattern)
    is_extension = isinstance(book.by_pattern, Overlay)
    rules, by_pattern = list(book.rules), dict(own)
    has_other_uses = False
    for place in places:
        old = rules[place]
        rule = changed[old.rule.id]
        setting = _setting(rule) if is_acting(rule) else None
        new = _compile_rule(rule, old.source, setting, catalog, book.pattern_types)
        if not _is_replaceable(old, new):
            return None
        before, now = (each.detectors if each.everyone else () for each in (old, new))
        if before != now:
            has_other_uses = True
            index = place - len(rules) if is_extension else place
            if not (
                _remove_uses(by_pattern, before, index)
                and _add_uses(by_pattern, shared, now, index)
            ):
                return None
        rules[place] = new
    if not has_other_uses:
        return replace(book, rules=tuple(rules))
    uses = Overlay(by_pattern, shared) if is_extension else by_pattern
    return replace(book, rules=tuple(rules), by_pattern=uses)


def _is_replaceable(old: CompiledDlpRule, new: CompiledDlpRule) -> bool:
    """Whether a version of a rule can replace another one without a change of the whole book."""
    has_more = old.groups or old.model_entities or new.model_entities
    return not has_more and same_types(new.rule, old.rule)


def _layers_of(by_pattern: UsesByPattern) -> tuple[UsesByPattern, UsesByPattern]:
    """Returns the tenant's part of a table, and the part that all tenants share."""
    if isinstance(by_pattern, Overlay):
        return by_pattern.own, by_pattern.shared
    return by_pattern, NO_USES


def _remove_uses(
    by_pattern: dict[str, tuple[DetectorUse, ...]], detectors: Iterable[EntityDetector], index: int
) -> bool:
    """Removes the detectors of a rule; returns False if one of their patterns has other users."""
    return all(
        by_pattern.pop(pattern, None) == (DetectorUse(detector, (index,)),)
        for detector in detectors
        for pattern in detector.patterns
    )


def _add_uses(
    by_pattern: dict[str, tuple[DetectorUse, ...]],
    shared: UsesByPattern,
    detectors: Iterable[EntityDetector],
    index: int,
) -> bool:
    """Adds the detectors of a rule; returns False if one of their patterns has users already."""
    for detector in detectors:
        for pattern in detector.patterns:
            if pattern in by_pattern or pattern in shared:
                return False
            by_pattern[pattern] = (DetectorUse(detector, (index,)),)
    return True


def _is_extension(platform: PolicySet, own: Mapping[str, DlpRule]) -> bool:
    """Whether the rules of a tenant leave those of the platform, and its groups, as they are."""
    if not own.keys().isdisjoint(platform.of_kind(KIND)):
        return False
    if any(rule.bundle_id for rule in own.values()):
        return False
    groups: Iterable[UserGroup] = platform.of_kind(GROUP_KIND).values()
    return not any(change["rule_id"] in own for group in groups for change in group.dlp_rules)


def compile_rule(rule: DlpRule, catalog: Mapping[str, EntityDetector]) -> RuleBook:
    """Compiles one rule that is not stored, without any other rule; see `compile_rules`."""
    pattern_types, categories = _pattern_types(catalog), categories_of(catalog)
    rules = (_compile_rule(rule, TENANT_SOURCE, _setting(rule), catalog, pattern_types),)
    return RuleBook(
        rules=rules,
        by_pattern=_by_pattern(_uses(enumerate(rules))),
        model_rules=(0,) if rules[0].model_entities else (),
        caller_entities=caller_entity_rules([(0, rule)], categories),
        pattern_types=pattern_types,
        categories=categories,
        groups=None,
    )


def _pattern_types(catalog: Mapping[str, EntityDetector]) -> frozenset[str]:
    return frozenset().union(*(entity_aliases(each.entity_type) for each in catalog.values()))


def _sources(rules: Iterable[tuple[int, CompiledDlpRule]]) -> Iterator[tuple[int, DlpRule]]:
    return ((index, each.rule) for index, each in rules)


def _uses(rules: Iterable[tuple[int, CompiledDlpRule]]) -> list[DetectorUse]:
    """Returns the detectors that rules use, each rule with its index, in the order of the rules."""
    indexes: dict[str, list[int]] = {}
    detectors: dict[str, EntityDetector] = {}
    for index, each in rules:
        for detector in each.detectors:
            detectors[detector.id] = detector
            indexes.setdefault(detector.id, []).append(index)
    return [DetectorUse(detectors[each], tuple(indexes[each])) for each in indexes]


def _by_pattern(
    uses: Iterable[DetectorUse], shared: Mapping[str, tuple[DetectorUse, ...]] = NO_USES
) -> dict[str, tuple[DetectorUse, ...]]:
    """Returns the detectors that use each pattern.

    Args:
        uses: the detectors.
        shared: other uses of the same patterns, which come after `uses`.
    """
    by_pattern: dict[str, list[DetectorUse]] = {}
    for use in uses:
        for pattern in use.detector.patterns:
            by_pattern.setdefault(pattern, []).append(use)
    return {
        pattern: tuple(_joined([*own, *shared.get(pattern, ())]))
        for pattern, own in by_pattern.items()
    }


def _joined(uses: Iterable[DetectorUse]) -> Iterable[DetectorUse]:
    """Returns the uses, with one for each detector."""
    by_id: dict[str, DetectorUse] = {}
    for use in uses:
        earlier = by_id.get(use.detector.id)
        indexes = (*earlier.rule_indexes, *use.rule_indexes) if earlier else use.rule_indexes
        by_id[use.detector.id] = DetectorUse(use.detector, indexes)
    return by_id.values()


def _compile(
    in_force: EffectiveDlpRules,
    own: Mapping[str, DlpRule],
    catalog: Mapping[str, EntityDetector],
    pattern_types: frozenset[str],
    previous: Mapping[str, CompiledDlpRule],
) -> tuple[CompiledDlpRule, ...]:
    by_group: dict[str, dict[str, RuleSetting]] = {}
    rules = dict(in_force.everyone)
    for group_id, changed in in_force.groups.items():
        for rule in changed.values():
            rules.setdefault(rule.id, rule)
            by_group.setdefault(rule.id, {})[group_id] = _setting(rule)
    compiled_rules: list[CompiledDlpRule] = []
    ordered = [rule for rule in rules.values() if rule.id in own]
    ordered += [rule for rule in rules.values() if rule.id not in own]
    for rule in ordered:
        groups = by_group.get(rule.id, {})
        everyone = _setting(rule) if rule.id in in_force.everyone else None
        compiled = previous.get(rule.id)
        if (
            compiled is None
            or (compiled.rule is not rule and compiled.rule != rule)
            or (compiled.everyone, compiled.groups) != (everyone, groups)
        ):
            source = TENANT_SOURCE if rule.id in own else PLATFORM_SOURCE
            compiled = _compile_rule(rule, source, everyone, catalog, pattern_types)
            if groups:
                compiled = replace(compiled, groups=groups)
        compiled_rules.append(compiled)
    return tuple(compiled_rules)


def _compile_rule(
    rule: DlpRule,
    source: str,
    everyone: RuleSetting | None,
    catalog: Mapping[str, EntityDetector],
    pattern_types: frozenset[str],
) -> CompiledDlpRule:
    config = read_stored_config(rule, catalog)
    return CompiledDlpRule(
        rule=rule,
        source=source,
        everyone=everyone,
        groups={},
        detectors=config.detectors,
        model_entities=model_entities(rule, pattern_types),
        replacement=config.replacement,
        message=config.message,
        placement=compile_placement(rule),
    )


def _setting(rule: DlpRule) -> RuleSetting:
    return RuleSetting(TIER_RANKS[rule.action_tier], rule.confidence_threshold)


def _strictest(one: RuleSetting, other: RuleSetting) -> RuleSetting:
    return RuleSetting(max(one.rank, other.rank), min(one.threshold, other.threshold))
