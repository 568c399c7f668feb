"""DLP rules taken out for a backup, and put in again (seed 002)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import uuid4

from pdp.admin.dlp.entities import (
    SETTABLE,
    KeptRule,
    all_rules,
    check_room,
    customise,
    put_rule,
)
from pdp.domain.dlp_rule import (
    ACTION_TIERS,
    CUSTOMISATION_KIND,
    DETECTOR_TYPES,
    REGEX,
    DlpRule,
)
from pdp.engine.dlp.config import read_config
from pdp.errors import (
    InvalidArgument,
    InvalidPattern,
    NameExists,
    PlatformReadonly,
    RuleRequired,
    Violation,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pdp.admin.workspace import Workspace, Written
    from pdp.domain.detector import EntityDetector
    from pdp.store.port import Reader, Transaction

SKIP: Final = "skip"
OVERWRITE: Final = "overwrite"
RENAME: Final = "rename"

MAX_NAME: Final = 256

_TEXTS: Final = ("detector_name", "entity_type")
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "detector_type": DETECTOR_TYPES,
    "action_tier": ACTION_TIERS,
}
_IGNORED: Final = frozenset({"id", "source", "bundle_id", "clause"})
"""What an export holds beside what a rule is made of."""

_KNOWN: Final = frozenset(
    {*_TEXTS, *_CHOICES, "enabled", "confidence_threshold", "config_json", *_IGNORED}
)


class ImportFault(NamedTuple):
    """A rule that could not be imported, and why."""

    detector_name: str
    error: str


class Imported(NamedTuple):
    """What became of the rules of an import."""

    created: int
    skipped: int
    overwritten: int
    errors: Sequence[ImportFault]


class DlpTransfer:
    """The use cases. Each takes the tenant that acts, and writes take who acts for it."""

    def __init__(self, workspace: Workspace, catalog: Mapping[str, EntityDetector]) -> None:
        """Takes the detectors that rules may name."""
        self._workspace = workspace
        self._catalog = catalog

    async def export(self, tenant_id: str) -> Sequence[KeptRule]:
        """Returns the tenant's own rules, and before them the platform's that it has changed."""

        def work(reader: Reader) -> Sequence[KeptRule]:
            changed = {record.id for record in reader.list(CUSTOMISATION_KIND, tenant_id)}
            return [
                kept
                for kept in all_rules(reader, tenant_id)
                if not kept.of_platform or kept.rule.id in changed
            ]

        return await self._workspace.read(work)

    async def take_in(
        self, tenant_id: str, actor: str, documents: Sequence[Any], mode: str
    ) -> Written[Imported]:
        """Makes rules of documents, all in one transaction; what is at fault is left out.

        A rule whose name a platform rule has is, with `overwrite`, what the tenant sets of that.

        Args:
            tenant_id: whose they will be.
            actor: who imports them.
            documents: JSON values, each to be an object of a rule's fields.
            mode: what is done with a rule whose name is there already: `skip`, `overwrite` or
                `rename`.
        """
        # Thousands of patterns take a while: others need not wait for them.
        drafts = await asyncio.to_thread(self._read, documents)

        def work(transaction: Transaction) -> Imported:
            return _Import(transaction, tenant_id, actor).run(drafts, mode)

        return await self._workspace.write(tenant_id, work)

    def _read(self, documents: Sequence[Any]) -> list[DlpRule | ImportFault]:
        found: list[DlpRule | ImportFault] = []
        for index, document in enumerate(documents):
            try:
                draft = read_draft(document)
                read_config(draft, self._catalog)
                found.append(draft)
            except InvalidArgument as error:
                found.append(ImportFault(_name_of(document, index), _said(error)))
        return found


class _Import:
    """One import, within its transaction."""

    def __init__(self, transaction: Transaction, tenant_id: str, actor: str) -> None:
        self._transaction = transaction
        self._tenant_id = tenant_id
        self._actor = actor
        self._numbers: dict[str, int] = {}
        # The tenant's own come last, so that they go before the platform's of the same name.
        self._present = {
            kept.rule.detector_name: kept for kept in all_rules(transaction, tenant_id)
        }

    def run(self, drafts: Sequence[DlpRule | ImportFault], mode: str) -> Imported:
        counts = {"created": 0, "skipped": 0, "overwritten": 0}
        errors: list[ImportFault] = []
        for draft in drafts:
            if isinstance(draft, ImportFault):
                errors.append(draft)
                continue
            try:
                counts[self._take(draft, mode)] += 1
            except (InvalidArgument, NameExists, PlatformReadonly, RuleRequired) as error:
                errors.append(ImportFault(draft.detector_name, error.message))
        return Imported(**counts, errors=errors)

    def _take(self, draft: DlpRule, mode: str) -> str:
        present = self._present.get(draft.detector_name)
        if present is None:
            self._create(draft)
            return "created"
        if mode == OVERWRITE:
            self._overwrite(present, draft)
            return "overwritten"
        if mode == RENAME:
            self._create(replace(draft, detector_name=self._free(draft.detector_name)))
            return "created"
        return "skipped"

    def _create(self, draft: DlpRule) -> None:
        check_room(self._transaction, self._tenant_id, 1)
        now = self._transaction.now
        rule = replace(draft, id=str(uuid4()), created_at=now, updated_at=now)
        self._keep(rule, "Imported")

    def _overwrite(self, present: KeptRule, draft: DlpRule) -> None:
        if present.of_platform:
            changes = {name: getattr(draft, name) for name in _compared(present.rule, draft)}
            customise(self._transaction, self._tenant_id, self._actor, present, changes)
            return
        old = present.rule
        rule = replace(
            draft,
            id=old.id,
            bundle_id=old.bundle_id,
            clause=old.clause,
            created_at=old.created_at,
            updated_at=self._transaction.now,
        )
        self._keep(rule, "Overwritten by an import")

    def _keep(self, rule: DlpRule, summary: str) -> None:
        kept = put_rule(
            self._transaction, self._tenant_id, rule, actor=self._actor, summary=summary
        )
        self._present[rule.detector_name] = kept

    def _free(self, name: str) -> str:
        """Returns the first name `<name>_importN` that is free, cut to the length of names."""
        while True:
            number = self._numbers[name] = self._numbers.get(name, 0) + 1
            suffix = f"_import{number}"
            candidate = name[: MAX_NAME - len(suffix)] + suffix
            if candidate not in self._present:
                return candidate


def read_draft(document: Any) -> DlpRule:
    """Returns the rule that a JSON value asks to make, but for its `config_json`'s own contents.

    Raises:
        InvalidArgument: it is no object of a rule's fields; all faults are named.
    """
    if not isinstance(document, dict):
        raise InvalidArgument("must be an object", Violation("rules", "must be an object"))
    faults = list(_faults(document))
    if faults:
        raise InvalidArgument.of(*faults)
    threshold = document.get("confidence_threshold")
    enabled = document.get("enabled")
    return DlpRule(
        id="",
        detector_name=document["detector_name"],
        detector_type=document["detector_type"],
        entity_type=document["entity_type"],
        action_tier=document["action_tier"],
        enabled=True if enabled is None else enabled,
        confidence_threshold=0.5 if threshold is None else float(threshold),
        config_json=document.get("config_json") or {},
    )


def _faults(document: Mapping[str, Any]) -> Iterator[Violation]:
    for name in document:
        if name not in _KNOWN:
            yield Violation(name[:64], "unknown field")
    for name in _TEXTS:
        value = document.get(name)
        if not isinstance(value, str) or not value.strip():
            yield Violation(name, "is required" if value is None else "must be a string, not empty")
        elif len(value) > MAX_NAME:
            yield Violation(name, f"must be at most {MAX_NAME} characters")
    for name, choices in _CHOICES.items():
        value = document.get(name)
        if value not in choices:
            why = "is required" if value is None else f"must be one of {', '.join(choices)}"
            yield Violation(name, why)
    if not isinstance(document.get("enabled"), (bool, type(None))):
        yield Violation("enabled", "must be true or false")
    if not _is_share(document.get("confidence_threshold")):
        yield Violation("confidence_threshold", "must be from 0 to 1")
    if not isinstance(document.get("config_json"), (dict, type(None))):
        yield Violation("config_json", "must be an object")


def _is_share(value: Any) -> bool:
    if value is None:
        return True
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and isfinite(value) and 0 <= value <= 1


def _compared(rule: DlpRule, draft: DlpRule) -> tuple[str, ...]:
    """The fields of a draft that are held against a platform rule, or set of it.

    Its document may be left out of the draft.
    """
    fields = ("detector_type", "entity_type", *SETTABLE)
    return (*fields, "config_json") if rule.detector_type == REGEX and draft.config_json else fields


def _name_of(document: Any, index: int) -> str:
    name = document.get("detector_name") if isinstance(document, dict) else None
    return name if isinstance(name, str) and name.strip() else f"rules[{index}]"


def _said(error: InvalidArgument) -> str:
    if isinstance(error, InvalidPattern):
        return f"Invalid regex: {error.violations[0].reason}"
    return error.message
