"""Rules of policy packs that are to be made: checked, counted and put in sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from pdp.domain.policy_pack import (
    MAX_RULES,
    MAX_SEQUENCE,
    MAX_TENANT_RULES,
    RULE_KIND,
    JsonObject,
    PolicyRule,
)
from pdp.engine.rules.documents import read_rule
from pdp.errors import InvalidArgument, InvalidPattern, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pdp.store.port import Reader


class RuleDraft(NamedTuple):
    """A rule to be made; `sequence` is None for the next one."""

    name: str
    action: JsonObject
    conditions: JsonObject
    sequence: int | None = None
    description: str = ""
    applies_to: str = "input"
    is_active: bool = True


def check_drafts(drafts: Sequence[RuleDraft], place: str = "rules") -> None:
    """Checks the documents of many rules at once.

    Raises:
        InvalidArgument: some are not well-formed; all faults are named.
        InvalidPattern: among them is a pattern that is not RE2.
    """
    found: list[InvalidArgument] = []
    for index, draft in enumerate(drafts):
        try:
            read_rule(draft.conditions, draft.action, f"{place}[{index}].")
        except InvalidArgument as error:
            found.append(error)
    if found:
        patterns = any(isinstance(error, InvalidPattern) for error in found)
        kind = InvalidPattern if patterns else InvalidArgument
        raise kind.of(*(violation for error in found for violation in error.violations))


def new_rules(
    pack_id: str,
    present: Sequence[PolicyRule],
    drafts: Sequence[RuleDraft],
    now: float,
    place: str = "",
) -> Iterator[PolicyRule]:
    """Yields the rules that drafts become, each behind those before it unless it says where.

    Args:
        pack_id: their pack.
        present: the rules that it has already.
        drafts: the rules to be made.
        now: when they are made.
        place: where in the request they are listed; empty for one that is the request.

    Raises:
        InvalidArgument: a sequence is taken, or there is none left.
    """
    taken = {rule.sequence: rule.name for rule in present}
    for index, draft in enumerate(drafts):
        field = f"{place}[{index}].sequence" if place else "sequence"
        sequence = max(taken, default=-1) + 1 if draft.sequence is None else draft.sequence
        if sequence in taken:
            raise InvalidArgument.of(Violation(field, f'is taken by rule "{taken[sequence]}"'))
        if sequence > MAX_SEQUENCE:
            raise InvalidArgument.of(Violation(field, f"must be at most {MAX_SEQUENCE}"))
        taken[sequence] = draft.name
        yield PolicyRule(
            id=str(uuid4()),
            pack_id=pack_id,
            sequence=sequence,
            name=draft.name,
            action=draft.action,
            conditions=draft.conditions,
            description=draft.description,
            applies_to=draft.applies_to,
            is_active=draft.is_active,
            created_at=now,
            updated_at=now,
        )


def check_room(reader: Reader, tenant_id: str, present: int, more: int, field: str) -> None:
    """Checks that a pack that has `present` rules, and its tenant, may have `more`.

    Raises:
        InvalidArgument: they may not.
    """
    if present + more > MAX_RULES:
        reason = f"a policy pack may have at most {MAX_RULES} rules"
        raise InvalidArgument(reason, Violation(field, reason))
    if reader.count(RULE_KIND, tenant_id) + more > MAX_TENANT_RULES:
        reason = f"a tenant may have at most {MAX_TENANT_RULES} policy rules"
        raise InvalidArgument(reason, Violation(field, reason))
