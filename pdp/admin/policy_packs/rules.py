"""The rules of policy packs, and drafts of new rules (the policy pack API)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import uuid4

from pdp.admin.policy_packs.entities import (
    StoredPack,
    find_editable_pack,
    find_pack,
    put_pack,
    put_rule,
    read_rules,
)
from pdp.admin.preconditions import NO_PRECONDITION, Precondition, Versioned
from pdp.domain.policy_pack import (
    MAX_RULES,
    MAX_SEQUENCE,
    MAX_TENANT_RULES,
    REDACT,
    RULE_KIND,
    JsonObject,
    PolicyRule,
    sequence_key,
)
from pdp.engine.rules.documents import read_rule
from pdp.errors import InvalidArgument, RuleNotFound, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pdp.admin.workspace import Workspace, WriteResult
    from pdp.store.port import Reader, Transaction

_BUNDLE_HINT: Final = "its rules cannot be changed"


class RuleDraft(NamedTuple):
    """A new rule; `sequence` is None for the next free one."""

    name: str
    action: JsonObject
    conditions: JsonObject
    sequence: int | None = None
    description: str = ""
    applies_to: str = "input"
    is_active: bool = True
    mode: str = ""
    redaction: str = ""


class PolicyRules:
    """Administers the rules of a tenant's policy packs."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def list(self, tenant_id: str, pack_id: str) -> Sequence[PolicyRule]:
        """Returns a pack's rules by sequence.

        Raises:
            PackNotFound: the tenant has no such pack.
        """

        def work(reader: Reader) -> Sequence[PolicyRule]:
            return read_rules(reader, find_pack(reader, tenant_id, pack_id))

        return await self._workspace.read(work)

    async def create(
        self, tenant_id: str, actor: str, pack_id: str, draft: RuleDraft
    ) -> WriteResult[Versioned[PolicyRule]]:
        """Adds a rule to a pack of the tenant.

        Raises:
            BundleReadonly: the pack is a bundle.
            InvalidArgument: the rule is not well-formed, its sequence is in use, or there are too
                many rules.
            InvalidPattern: the rule's pattern is not RE2.
            PackNotFound: the tenant has no such pack.
        """

        def work(transaction: Transaction) -> Versioned[PolicyRule]:
            stored_pack = find_editable_pack(transaction, tenant_id, pack_id, _BUNDLE_HINT)
            check_rule(draft.conditions, draft.action, draft.redaction)
            present = read_rules(transaction, stored_pack)
            check_rule_count(transaction, tenant_id, len(present), 1, "pack_id")
            (rule,) = build_rules(pack_id, present, [draft], transaction.now)
            revision = put_rule(transaction, tenant_id, rule, actor=actor, summary="Created")
            count, summary = len(present) + 1, f"Added rule {rule.name}"
            _update_pack(transaction, stored_pack, actor, count, summary)
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
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[Versioned[PolicyRule]]:
        """Changes the fields in `changes`; conditions and action are replaced as a whole.

        Raises:
            BundleReadonly: the pack is a bundle.
            InvalidArgument: the rule would not be well-formed, or its sequence is in use.
            InvalidPattern: the rule's pattern is not RE2.
            PackNotFound: the tenant has no such pack.
            PreconditionFailed: `precondition` does not hold.
            RuleNotFound: the pack has no such rule.
        """

        def work(transaction: Transaction) -> Versioned[PolicyRule]:
            stored_pack, rule = _find_rule(transaction, tenant_id, pack_id, rule_id, precondition)
            changed = replace(rule, **changes, updated_at=transaction.now)
            check_rule(changed.conditions, changed.action, changed.redaction)
            present = read_rules(transaction, stored_pack)
            if "sequence" in changes:
                _check_sequence(changed, present)
            summary = f"Updated {', '.join(changes)}" if changes else "No change"
            revision = put_rule(transaction, tenant_id, changed, actor=actor, summary=summary)
            pack_summary = f"Changed rule {changed.name}"
            _update_pack(transaction, stored_pack, actor, len(present), pack_summary)
            return Versioned(changed, revision)

        return await self._workspace.write(tenant_id, work)

    async def delete(
        self,
        tenant_id: str,
        actor: str,
        pack_id: str,
        rule_id: str,
        precondition: Precondition = NO_PRECONDITION,
    ) -> WriteResult[None]:
        """Deletes a rule of a pack of the tenant.

        Raises:
            BundleReadonly: the pack is a bundle.
            PackNotFound: the tenant has no such pack.
            PreconditionFailed: `precondition` does not hold.
            RuleNotFound: the pack has no such rule.
        """

        def work(transaction: Transaction) -> None:
            stored_pack, rule = _find_rule(transaction, tenant_id, pack_id, rule_id, precondition)
            transaction.delete(RULE_KIND, tenant_id, rule_id, actor=actor, summary="Deleted")
            count, summary = stored_pack.pack.rule_count - 1, f"Deleted rule {rule.name}"
            _update_pack(transaction, stored_pack, actor, count, summary)

        return await self._workspace.write(tenant_id, work)

    async def reorder(
        self, tenant_id: str, actor: str, pack_id: str, entries: Sequence[tuple[str, int]]
    ) -> WriteResult[Sequence[PolicyRule]]:
        """Gives all rules of a pack new sequences at once; returns them in their new order.

        Args:
            tenant_id: the tenant.
            actor: who makes the change.
            pack_id: the pack.
            entries: the id of every rule of the pack, each with its sequence.

        Raises:
            BundleReadonly: the pack is a bundle.
            InvalidArgument: a rule is missing, is not in the pack or is named twice, or a sequence
                is used twice.
            PackNotFound: the tenant has no such pack.
        """

        def work(transaction: Transaction) -> Sequence[PolicyRule]:
            stored_pack = find_editable_pack(transaction, tenant_id, pack_id, _BUNDLE_HINT)
            present = {rule.id: rule for rule in read_rules(transaction, stored_pack)}
            _check_order(present, entries)
            now = transaction.now
            rules = []
            for rule_id, sequence in entries:
                rule = present[rule_id]
                if rule.sequence != sequence:
                    rule = replace(rule, sequence=sequence, updated_at=now)
                    put_rule(transaction, tenant_id, rule, actor=actor, summary="Reordered")
                rules.append(rule)
            _update_pack(transaction, stored_pack, actor, len(rules), "Reordered the rules")
            return sorted(rules, key=sequence_key)

        return await self._workspace.write(tenant_id, work)


def check_rule(
    conditions: JsonObject, action: JsonObject, redaction: str, prefix: str = ""
) -> None:
    """Checks the documents and the redaction of a rule.

    Args:
        conditions: the document of the conditions, as it was sent.
        action: the document of the action, as it was sent.
        redaction: see `PolicyRule`.
        prefix: a prefix for the field paths in errors, if the rule is part of another message.

    Raises:
        InvalidArgument: the rule is not well-formed.
        InvalidPattern: its pattern is not RE2.
    """
    _, parsed = read_rule(conditions, action, prefix)
    if redaction and parsed.type != REDACT:
        raise InvalidArgument.of(Violation(f"{prefix}redaction", f"is only for {REDACT} rules"))


def check_drafts(drafts: Sequence[RuleDraft], path: str = "rules") -> None:
    """Checks the documents of many new rules.

    Raises:
        InvalidArgument: some rules are not well-formed; the error names all faults.
        InvalidPattern: a pattern among them is not RE2.
    """
    errors: list[InvalidArgument] = []
    for index, draft in enumerate(drafts):
        try:
            check_rule(draft.conditions, draft.action, draft.redaction, f"{path}[{index}].")
        except InvalidArgument as error:
            errors.append(error)
    if errors:
        raise InvalidArgument.merged(errors)


def build_rules(
    pack_id: str,
    present: Sequence[PolicyRule],
    drafts: Sequence[RuleDraft],
    now: float,
    path: str = "",
) -> Iterator[PolicyRule]:
    """Yields the rules of drafts. A draft without a sequence goes after all rules before it.

    Args:
        pack_id: the pack of the rules.
        present: the rules that the pack has already.
        drafts: the new rules.
        now: the time of their creation.
        path: the path of the list in the request; empty if the request is a single rule.

    Raises:
        InvalidArgument: a sequence is in use, or is too large.
    """
    names = {rule.sequence: rule.name for rule in present}
    for index, draft in enumerate(drafts):
        field = f"{path}[{index}].sequence" if path else "sequence"
        sequence = max(names, default=-1) + 1 if draft.sequence is None else draft.sequence
        if sequence in names:
            raise InvalidArgument.of(Violation(field, f'is in use by rule "{names[sequence]}"'))
        if sequence > MAX_SEQUENCE:
            raise InvalidArgument.of(Violation(field, f"must be at most {MAX_SEQUENCE}"))
        names[sequence] = draft.name
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
            mode=draft.mode,
            created_at=now,
            updated_at=now,
            redaction=draft.redaction,
        )


def check_rule_count(
    reader: Reader, tenant_id: str, present: int, new_rules: int, field: str
) -> None:
    """Checks that a pack with `present` rules, and its tenant, may have `new_rules` more.

    Raises:
        InvalidArgument: there would be too many rules.
    """
    if present + new_rules > MAX_RULES:
        reason = f"a policy pack may have at most {MAX_RULES} rules"
        raise InvalidArgument(reason, Violation(field, reason))
    if reader.count(RULE_KIND, tenant_id) + new_rules > MAX_TENANT_RULES:
        reason = f"a tenant may have at most {MAX_TENANT_RULES} policy rules"
        raise InvalidArgument(reason, Violation(field, reason))


def _find_rule(
    reader: Reader, tenant_id: str, pack_id: str, rule_id: str, precondition: Precondition
) -> tuple[StoredPack, PolicyRule]:
    stored_pack = find_editable_pack(reader, tenant_id, pack_id, _BUNDLE_HINT)
    entity = reader.get(RULE_KIND, tenant_id, rule_id)
    rule = PolicyRule(**entity.body) if entity else None
    if entity is None or rule is None or rule.pack_id != pack_id:
        raise RuleNotFound(f"there is no rule {rule_id} in policy pack {pack_id}")
    precondition.check(entity.revision)
    return stored_pack, rule


def _update_pack(
    transaction: Transaction, stored_pack: StoredPack, actor: str, rule_count: int, summary: str
) -> None:
    """Writes the pack of changed rules, so that its revision changes with them."""
    pack = replace(stored_pack.pack, rule_count=rule_count)
    put_pack(transaction, stored_pack.owner, pack, actor=actor, summary=summary)


def _check_sequence(changed: PolicyRule, present: Sequence[PolicyRule]) -> None:
    for rule in present:
        if rule.sequence == changed.sequence and rule.id != changed.id:
            raise InvalidArgument.of(Violation("sequence", f'is in use by rule "{rule.name}"'))


def _check_order(present: Mapping[str, PolicyRule], entries: Sequence[tuple[str, int]]) -> None:
    violations: list[Violation] = []
    rule_ids: set[str] = set()
    sequences: set[int] = set()
    for index, (rule_id, sequence) in enumerate(entries):
        if rule_id not in present:
            violations.append(Violation(f"entries[{index}].id", "is not a rule of this pack"))
        elif rule_id in rule_ids:
            violations.append(Violation(f"entries[{index}].id", "is named twice"))
        if sequence in sequences:
            violations.append(Violation(f"entries[{index}].sequence", "is used twice"))
        rule_ids.add(rule_id)
        sequences.add(sequence)
    missing = [rule for rule in present.values() if rule.id not in rule_ids]
    if missing:  # a pack may have two rules of one name, so the message also names the id
        violations.append(
            Violation("entries", f'leaves out rule {missing[0].id}, "{missing[0].name}"')
        )
    if violations:
        raise InvalidArgument.of(*violations)
