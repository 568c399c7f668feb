"""The rules of policy packs (seed 002)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pdp.admin.packs.entities import KeptPack, find_pack, own_pack, put_pack, put_rule, rules_of
from pdp.admin.packs.rule_drafts import RuleDraft, check_room, new_rules
from pdp.admin.versioned import ANYTHING, Expectation, Versioned
from pdp.domain.policy_pack import RULE_KIND, PolicyRule, sequence_key
from pdp.engine.rules.documents import read_rule
from pdp.errors import InvalidArgument, RuleNotFound, Violation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.admin.workspace import Workspace, Written
    from pdp.store.port import Reader, Transaction

_READONLY: Final = "its rules cannot be changed"


class PolicyRules:
    """The use cases. Each takes the tenant that acts, and writes take who acts for it."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def list(self, tenant_id: str, pack_id: str) -> Sequence[PolicyRule]:
        """Returns a pack's rules by sequence.

        Raises:
            PackNotFound: the tenant has no such pack.
        """

        def work(reader: Reader) -> Sequence[PolicyRule]:
            return rules_of(reader, find_pack(reader, tenant_id, pack_id))

        return await self._workspace.read(work)

    async def create(
        self, tenant_id: str, actor: str, pack_id: str, draft: RuleDraft
    ) -> Written[Versioned[PolicyRule]]:
        """Adds a rule to a pack of the tenant.

        Raises:
            BundleReadonly: the pack is a bundle.
            InvalidArgument: the rule is not well-formed, its sequence is taken, or there are too
                many rules.
            InvalidPattern: its pattern is not RE2.
            PackNotFound: the tenant has no such pack.
        """

        def work(transaction: Transaction) -> Versioned[PolicyRule]:
            kept = own_pack(transaction, tenant_id, pack_id, _READONLY)
            read_rule(draft.conditions, draft.action)
            present = rules_of(transaction, kept)
            check_room(transaction, tenant_id, len(present), 1, "pack_id")
            (rule,) = new_rules(pack_id, present, [draft], transaction.now)
            revision = put_rule(transaction, tenant_id, rule, actor=actor, summary="Created")
            _touch(transaction, kept, actor, len(present) + 1, f"Added rule {rule.name}")
            return Versioned(rule, revision)

        return await self._workspace.write(tenant_id, work)

    async def update(
        self,
        tenant_id: str,
        actor: str,
        pack_id: str,
        rule_id: str,
        changes: Mapping[str, Any],
        *,
        expected: Expectation = ANYTHING,
    ) -> Written[Versioned[PolicyRule]]:
        """Changes the fields in `changes`; conditions and action are replaced whole.

        Raises:
            BundleReadonly: the pack is a bundle.
            InvalidArgument: the rule would not be well-formed, or its sequence is taken.
            InvalidPattern: its pattern is not RE2.
            PackNotFound: the tenant has no such pack.
            PreconditionFailed: the rule is not as expected.
            RuleNotFound: the pack has no such rule.
        """

        def work(transaction: Transaction) -> Versioned[PolicyRule]:
            kept, rule = _own_rule(transaction, tenant_id, pack_id, rule_id, expected)
            changed = replace(rule, **changes, updated_at=transaction.now)
            read_rule(changed.conditions, changed.action)
            present = rules_of(transaction, kept)
            if "sequence" in changes:
                _check_free(changed, present)
            summary = f"Updated {', '.join(changes)}" if changes else "No change"
            revision = put_rule(transaction, tenant_id, changed, actor=actor, summary=summary)
            _touch(transaction, kept, actor, len(present), f"Changed rule {changed.name}")
            return Versioned(changed, revision)

        return await self._workspace.write(tenant_id, work)

    async def delete(
        self,
        tenant_id: str,
        actor: str,
        pack_id: str,
        rule_id: str,
        expected: Expectation = ANYTHING,
    ) -> Written[None]:
        """Deletes a rule of a pack of the tenant.

        Raises:
            BundleReadonly: the pack is a bundle.
            PackNotFound: the tenant has no such pack.
            PreconditionFailed: the rule is not as expected.
            RuleNotFound: the pack has no such rule.
        """

        def work(transaction: Transaction) -> None:
            kept, rule = _own_rule(transaction, tenant_id, pack_id, rule_id, expected)
            transaction.delete(RULE_KIND, tenant_id, rule_id, actor=actor, summary="Deleted")
            count = kept.pack.rule_count - 1
            _touch(transaction, kept, actor, count, f"Deleted rule {rule.name}")

        return await self._workspace.write(tenant_id, work)

    async def reorder(
        self, tenant_id: str, actor: str, pack_id: str, entries: Sequence[tuple[str, int]]
    ) -> Written[Sequence[PolicyRule]]:
        """Gives all rules of a pack new sequences at once; returns them in their new order.

        Args:
            tenant_id: whose pack it is.
            actor: who changes it.
            pack_id: the pack.
            entries: every rule of the pack, each with its sequence.

        Raises:
            BundleReadonly: the pack is a bundle.
            InvalidArgument: a rule is left out, foreign or named twice, or a sequence repeats.
            PackNotFound: the tenant has no such pack.
        """

        def work(transaction: Transaction) -> Sequence[PolicyRule]:
            kept = own_pack(transaction, tenant_id, pack_id, _READONLY)
            present = {rule.id: rule for rule in rules_of(transaction, kept)}
            _check_order(present, entries)
            now = transaction.now
            ordered = []
            for rule_id, sequence in entries:
                rule = present[rule_id]
                if rule.sequence != sequence:
                    rule = replace(rule, sequence=sequence, updated_at=now)
                    put_rule(transaction, tenant_id, rule, actor=actor, summary="Reordered")
                ordered.append(rule)
            _touch(transaction, kept, actor, len(ordered), "Reordered the rules")
            return sorted(ordered, key=sequence_key)

        return await self._workspace.write(tenant_id, work)


def _own_rule(
    reader: Reader, tenant_id: str, pack_id: str, rule_id: str, expected: Expectation
) -> tuple[KeptPack, PolicyRule]:
    kept = own_pack(reader, tenant_id, pack_id, _READONLY)
    record = reader.get(RULE_KIND, tenant_id, rule_id)
    rule = PolicyRule(**record.body) if record else None
    if record is None or rule is None or rule.pack_id != pack_id:
        raise RuleNotFound(f"there is no rule {rule_id} in policy pack {pack_id}")
    expected.check(record.revision)
    return kept, rule


def _touch(
    transaction: Transaction, kept: KeptPack, actor: str, rule_count: int, summary: str
) -> None:
    """Writes that a pack's rules have changed: whoever holds the pack must read it again."""
    pack = replace(kept.pack, rule_count=rule_count)
    put_pack(transaction, kept.owner, pack, actor=actor, summary=summary)


def _check_free(changed: PolicyRule, present: Sequence[PolicyRule]) -> None:
    for rule in present:
        if rule.sequence == changed.sequence and rule.id != changed.id:
            raise InvalidArgument.of(Violation("sequence", f'is taken by rule "{rule.name}"'))


def _check_order(present: Mapping[str, PolicyRule], entries: Sequence[tuple[str, int]]) -> None:
    violations: list[Violation] = []
    seen: set[str] = set()
    taken: set[int] = set()
    for index, (rule_id, sequence) in enumerate(entries):
        if rule_id not in present:
            violations.append(Violation(f"entries[{index}].id", "is no rule of this pack"))
        elif rule_id in seen:
            violations.append(Violation(f"entries[{index}].id", "is named twice"))
        if sequence in taken:
            violations.append(Violation(f"entries[{index}].sequence", "is given twice"))
        seen.add(rule_id)
        taken.add(sequence)
    missing = [rule for rule in present.values() if rule.id not in seen]
    if missing:  # names may repeat within a pack, so the id says which
        violations.append(
            Violation("entries", f'leaves out rule {missing[0].id}, "{missing[0].name}"')
        )
    if violations:
        raise InvalidArgument.of(*violations)
