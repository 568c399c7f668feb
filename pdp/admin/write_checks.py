"""What is checked after a write has compiled, inside its transaction: warnings, and broad patterns.

A check sees the policies that the write leaves, and the tenant's snapshot with them. To add a
warning, add its code to `pdp.domain.write_warning` and a function to `CHECKS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

from pdp.admin.effect_checks import (
    warn_of_policies_without_effect,
    warn_of_unreachable_rules,
    warn_of_unused_packs,
    warn_of_weaker_overrides,
)
from pdp.admin.name_checks import warn_of_unknown_names
from pdp.admin.written_patterns import PATTERN_KINDS, WrittenPattern, patterns_of
from pdp.admin.written_policy import WriteCheck, WriteContext, WrittenPolicy
from pdp.domain import (
    compliance_bundle,
    customer_policy,
    policy_chain,
    policy_pack,
    user_group,
)
from pdp.domain.kinds import ENTITY_CLASSES
from pdp.domain.write_warning import (
    MAX_WARNINGS,
    PATTERN_MATCHES_NEARLY_EVERYTHING,
    WriteWarning,
)
from pdp.engine.broad_patterns import (
    MANY,
    MAX_BROAD_PATTERNS,
    count_broad_patterns,
    measure_many,
    pattern_cost,
)
from pdp.engine.compiler import compile_tenant
from pdp.engine.text.pattern_cost import cost_of_source
from pdp.errors import InvalidArgument, InvalidPattern, Violation

if TYPE_CHECKING:
    from pdp.domain.stored_entity import Change
    from pdp.engine.snapshot import Snapshot
    from pdp.engine.text.cost_class import PatternCost

Places = Mapping[str, str]
"""By the id of a policy, the path of its document in the request, for example `rules[3].`."""

_BUNDLE_KINDS: Final = frozenset(
    {compliance_bundle.KIND, compliance_bundle.STATE_KIND, compliance_bundle.SNAPSHOT_KIND}
)
_ACTIVATING_KINDS: Final = frozenset(
    {
        *_BUNDLE_KINDS,
        policy_chain.KIND,
        user_group.KIND,
    }
)
"""A change of these kinds can put other policies in force, and so can the switch of a pack."""


def check_write(
    snapshot: Snapshot,
    changes: Sequence[Change],
    places: Places | None = None,
    default_place: str = "",
) -> tuple[WriteWarning, ...]:
    """Returns the warnings about a write, at most `MAX_WARNINGS`.

    Args:
        snapshot: the tenant's policies after the write.
        changes: what the write changes.
        places: where the request has the documents of policies; None if it has one policy.
        default_place: the place of other policies, with `{kind}` and `{id}` in it; empty if the
            request is the policy itself.

    Raises:
        InvalidArgument: more than `MAX_BROAD_PATTERNS` patterns that match nearly everywhere would
            be in force, and the write adds to them.
    """
    written = _written_policies(changes, places or {}, default_place)
    if len(written) >= MANY:
        measure_many(snapshot)
    warnings = collect_warnings(snapshot, written)
    # With as many warnings as are kept, others may be missing.
    may_be_broad = len(warnings) == MAX_WARNINGS or any(
        each.code == PATTERN_MATCHES_NEARLY_EVERYTHING for each in warnings
    )
    if may_be_broad or any(map(_activates, changes)):
        _check_broad_patterns(snapshot, changes, written)
    return warnings


def _activates(change: Change) -> bool:
    """Whether a change can put other policies in force."""
    if change.kind != policy_pack.KIND:
        return change.kind in _ACTIVATING_KINDS
    before, after = change.before, change.after
    return before is not None and after is not None and before["is_active"] != after["is_active"]


def collect_warnings(
    snapshot: Snapshot, written: Sequence[WrittenPolicy]
) -> tuple[WriteWarning, ...]:
    """Returns the warnings about policies, at most `MAX_WARNINGS`."""
    context = WriteContext(snapshot)
    warnings = (
        warning for policy in written for check in CHECKS for warning in check(context, policy)
    )
    return tuple(islice(warnings, MAX_WARNINGS))


def _written_policies(
    changes: Sequence[Change], places: Places, default_place: str
) -> list[WrittenPolicy]:
    last = {
        (each.kind, each.entity_id): each.after for each in changes if each.kind in ENTITY_CLASSES
    }
    present = {key: body for key, body in last.items() if body is not None}
    with_patterns = sum(kind in PATTERN_KINDS for kind, _ in present)
    of_bundle = any(each.kind in _BUNDLE_KINDS for each in changes)
    if not default_place and (with_patterns > 1 or of_bundle):
        default_place = "policies.{kind}.{id}."
    return [
        WrittenPolicy(
            kind, body, places.get(entity_id) or default_place.format(kind=kind, id=entity_id)
        )
        for (kind, entity_id), body in present.items()
    ]


def warn_of_broad_patterns(context: WriteContext, policy: WrittenPolicy) -> Iterator[WriteWarning]:
    """Yields a warning for each field with a pattern that matches nearly everywhere."""
    fields: set[str] = set()
    for pattern, cost in _broad_patterns(context.snapshot, policy):
        if pattern.field not in fields:
            fields.add(pattern.field)
            field = policy.prefix + pattern.field
            yield WriteWarning(field, PATTERN_MATCHES_NEARLY_EVERYTHING, _message(pattern, cost))


CHECKS: Final[tuple[WriteCheck, ...]] = (
    warn_of_broad_patterns,
    warn_of_unknown_names,
    warn_of_weaker_overrides,
    warn_of_unused_packs,
    warn_of_unreachable_rules,
    warn_of_policies_without_effect,
)
"""The checks of each policy that is written."""


def pattern_warnings(field: str, source: str) -> tuple[WriteWarning, ...]:
    """Returns the warnings about a pattern that is tried, not written; none if it is not RE2.

    Args:
        field: the field of the request that has the pattern.
        source: the pattern.
    """
    try:
        cost = cost_of_source(source)
    except InvalidPattern:
        return ()
    if not cost.is_everywhere:
        return ()
    message = _message(WrittenPattern(field, source), cost)
    return (WriteWarning(field, PATTERN_MATCHES_NEARLY_EVERYTHING, message),)


def _broad_patterns(
    snapshot: Snapshot, policy: WrittenPolicy
) -> Iterator[tuple[WrittenPattern, PatternCost]]:
    for pattern in patterns_of(snapshot, policy.kind, policy.body):
        try:
            cost = pattern_cost(snapshot, pattern.source)
        except InvalidPattern:
            continue  # a LIKE pattern of one string operation can be too long for RE2
        if cost.is_everywhere:
            yield pattern, cost


def _message(pattern: WrittenPattern, cost: PatternCost) -> str:
    if pattern.shown:
        return f'"{pattern.shown}" matches every action; name a domain, a scope or a verb'
    if cost.matches_empty:
        return (
            "matches the empty text, and so at every place; require at least one character, "
            "for example with + in place of *"
        )
    return (
        f"matches nearly everywhere: {cost.share:.0%} of ordinary texts, {cost.finds:.0f} times in "
        "1,000 characters; add a word, a prefix or a length that only the values have"
    )


def _check_broad_patterns(
    snapshot: Snapshot, changes: Sequence[Change], written: Sequence[WrittenPolicy]
) -> None:
    if count_broad_patterns(snapshot, MAX_BROAD_PATTERNS + 1) <= MAX_BROAD_PATTERNS:
        return
    before = _count_before(snapshot, changes)
    if count_broad_patterns(snapshot, before + 1) <= before:
        return
    fields = [
        policy.prefix + pattern.field
        for policy in written
        if policy.kind != customer_policy.KIND
        for pattern, _ in _broad_patterns(snapshot, policy)
    ]
    room = max(0, MAX_BROAD_PATTERNS - before)
    field = (fields[room:] or fields[-1:] or ["policies"])[0]
    reason = (
        f"a tenant may have at most {MAX_BROAD_PATTERNS} patterns in force that match nearly "
        f"everywhere, and this would be number {max(before, MAX_BROAD_PATTERNS) + 1}; narrow the "
        "pattern, or disable another one first"
    )
    raise InvalidArgument.of(Violation(field, reason))


def _count_before(snapshot: Snapshot, changes: Sequence[Change]) -> int:
    """Returns how many broad patterns were in force before the changes."""
    policies = snapshot.policies.with_changes(
        (
            each.kind,
            each.entity_id,
            None if each.before is None else ENTITY_CLASSES[each.kind](**each.before),
        )
        for each in reversed(changes)
        if each.kind in ENTITY_CLASSES
    )
    try:
        before = compile_tenant(
            snapshot.platform, snapshot.tenant_id, policies, snapshot.revision, snapshot
        )
    except InvalidPattern:
        return 0
    return count_broad_patterns(before)
