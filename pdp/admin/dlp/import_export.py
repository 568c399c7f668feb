"""Export of DLP rules for a backup, and their import (the DLP API)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import uuid4

from pdp.admin.dlp.entities import (
    StoredDlpRule,
    check_rule_count,
    customise_rule,
    put_rule,
    read_rules,
)
from pdp.admin.placements import check_placement
from pdp.domain.dlp_rule import (
    ACTION_TIERS,
    CUSTOMISABLE,
    CUSTOMISATION_KIND,
    DETECTOR_TYPES,
    REGEX,
    DlpRule,
)
from pdp.domain.placement import MODES, PLACEMENT_FIELDS, SCOPES
from pdp.domain.redaction_kind import REDACTION_KINDS
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

    from pdp.admin.workspace import Workspace, WriteResult
    from pdp.domain.detector import EntityDetector
    from pdp.store.port import Reader, Transaction

SKIP: Final = "skip"
OVERWRITE: Final = "overwrite"
RENAME: Final = "rename"

MAX_NAME: Final = 256

_TEXT_FIELDS: Final = ("detector_name", "entity_type")
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "detector_type": DETECTOR_TYPES,
    "action_tier": ACTION_TIERS,
}
_IGNORED_FIELDS: Final = frozenset({"id", "source", "bundle_id", "clause", "warnings"})
"""The fields of an exported rule, or of the answer of a write, that an import does not use."""

_KNOWN_FIELDS: Final = frozenset(
    {
        *_TEXT_FIELDS,
        *_CHOICES,
        "enabled",
        "confidence_threshold",
        "config_json",
        *PLACEMENT_FIELDS,
        *_IGNORED_FIELDS,
    }
)


class ImportFailure(NamedTuple):
    """A rule that could not be imported, and the reason."""

    detector_name: str
    error: str


class ImportResult(NamedTuple):
    """How many rules of an import were created, skipped and overwritten, and which failed."""

    created: int
    skipped: int
    overwritten: int
    errors: Sequence[ImportFailure]


class DlpRuleImportExport:
    """Exports and imports the DLP rules of a tenant."""

    def __init__(self, workspace: Workspace, catalog: Mapping[str, EntityDetector]) -> None:
        """Args:
        workspace: runs the use cases.
        catalog: the detectors that rules may name.
        """
        self._workspace = workspace
        self._catalog = catalog

    async def export_rules(self, tenant_id: str) -> Sequence[StoredDlpRule]:
        """Returns the platform rules that the tenant has customised, then the tenant's own."""

        def work(reader: Reader) -> Sequence[StoredDlpRule]:
            customised = {entity.id for entity in reader.list(CUSTOMISATION_KIND, tenant_id)}
            return [
                each
                for each in read_rules(reader, tenant_id)
                if not each.of_platform or each.rule.id in customised
            ]

        return await self._workspace.read(work)

    async def import_rules(
        self, tenant_id: str, actor: str, documents: Sequence[Any], mode: str
    ) -> WriteResult[ImportResult]:
        """Imports rules from documents in one transaction; invalid rules are left out.

        If a platform rule has the name of an imported rule, `overwrite` customises the platform
        rule for the tenant.

        Args:
            tenant_id: the tenant.
            actor: who makes the import.
            documents: JSON values; each must be an object with the fields of a rule.
            mode: what to do if a rule of that name exists: `skip`, `overwrite` or `rename`.
        """
        # Thousands of patterns take a while; they must not block the event loop.
        drafts = await asyncio.to_thread(self._read_drafts, documents)
        places: dict[str, str] = {}

        def work(transaction: Transaction) -> ImportResult:
            return _Import(transaction, tenant_id, actor, places).run(drafts, mode)

        return await self._workspace.write(tenant_id, work, places)

    def _read_drafts(self, documents: Sequence[Any]) -> list[DlpRule | ImportFailure]:
        drafts: list[DlpRule | ImportFailure] = []
        for index, document in enumerate(documents):
            try:
                draft = read_draft(document)
                read_config(draft, self._catalog)
                check_placement(draft, ACTION_TIERS)
                drafts.append(draft)
            except InvalidArgument as error:
                drafts.append(ImportFailure(_name_of(document, index), _error_text(error)))
        return drafts


class _Import:
    """One import, within its transaction."""

    def __init__(
        self, transaction: Transaction, tenant_id: str, actor: str, places: dict[str, str]
    ) -> None:
        """Args:
        transaction: the transaction.
        tenant_id: the tenant.
        actor: who makes the import.
        places: gets the place of each rule that is written in the list that was sent.
        """
        self._transaction = transaction
        self._tenant_id = tenant_id
        self._actor = actor
        self._places = places
        self._place = ""
        self._suffixes: dict[str, int] = {}
        # The tenant's own rules come last, so they win over platform rules of the same name.
        self._rules = {each.rule.detector_name: each for each in read_rules(transaction, tenant_id)}

    def run(self, drafts: Sequence[DlpRule | ImportFailure], mode: str) -> ImportResult:
        counts = {"created": 0, "skipped": 0, "overwritten": 0}
        errors: list[ImportFailure] = []
        for index, draft in enumerate(drafts):
            if isinstance(draft, ImportFailure):
                errors.append(draft)
                continue
            self._place = f"rules[{index}]."
            try:
                counts[self._import(draft, mode)] += 1
            except (InvalidArgument, NameExists, PlatformReadonly, RuleRequired) as error:
                errors.append(ImportFailure(draft.detector_name, error.message))
        return ImportResult(**counts, errors=errors)

    def _import(self, draft: DlpRule, mode: str) -> str:
        current = self._rules.get(draft.detector_name)
        if current is None:
            self._create(draft)
            return "created"
        if mode == OVERWRITE:
            self._overwrite(current, draft)
            return "overwritten"
        if mode == RENAME:
            self._create(replace(draft, detector_name=self._free_name(draft.detector_name)))
            return "created"
        return "skipped"

    def _create(self, draft: DlpRule) -> None:
        check_rule_count(self._transaction, self._tenant_id, 1)
        now = self._transaction.now
        rule = replace(draft, id=str(uuid4()), created_at=now, updated_at=now)
        self._put(rule, "Imported")

    def _overwrite(self, current: StoredDlpRule, draft: DlpRule) -> None:
        if current.of_platform:
            fields = _customised_fields(current.rule, draft)
            changes = {name: getattr(draft, name) for name in fields}
            customise_rule(self._transaction, self._tenant_id, self._actor, current, changes)
            return
        old = current.rule
        rule = replace(
            draft,
            id=old.id,
            bundle_id=old.bundle_id,
            clause=old.clause,
            created_at=old.created_at,
            updated_at=self._transaction.now,
        )
        self._put(rule, "Overwritten by an import")

    def _put(self, rule: DlpRule, summary: str) -> None:
        self._places[rule.id] = self._place
        self._rules[rule.detector_name] = put_rule(
            self._transaction, self._tenant_id, rule, actor=self._actor, summary=summary
        )

    def _free_name(self, name: str) -> str:
        """Returns the first free name `<name>_importN`, cut to the maximum length of names."""
        while True:
            number = self._suffixes[name] = self._suffixes.get(name, 0) + 1
            suffix = f"_import{number}"
            candidate = name[: MAX_NAME - len(suffix)] + suffix
            if candidate not in self._rules:
                return candidate


def read_draft(document: Any) -> DlpRule:
    """Returns the rule of a JSON document. The contents of its `config_json` are not checked.

    Raises:
        InvalidArgument: the document is not an object with the fields of a rule; the error names
            all faults.
    """
    if not isinstance(document, dict):
        raise InvalidArgument("must be an object", Violation("rules", "must be an object"))
    violations = list(_violations(document))
    if violations:
        raise InvalidArgument.of(*violations)
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
        expression=document.get("expression") or "",
        scope=document.get("scope") or [],
        scope_actions=document.get("scope_actions") or {},
        mode=document.get("mode") or "",
        redaction=document.get("redaction") or "",
    )


def _violations(document: Mapping[str, Any]) -> Iterator[Violation]:
    for name in document:
        if name not in _KNOWN_FIELDS:
            yield Violation(name[:64], "unknown field")
    for name in _TEXT_FIELDS:
        value = document.get(name)
        if not isinstance(value, str) or not value.strip():
            yield Violation(name, "is required" if value is None else "must be a string, not empty")
        elif len(value) > MAX_NAME:
            yield Violation(name, f"must be at most {MAX_NAME} characters")
    for name, choices in _CHOICES.items():
        value = document.get(name)
        if value not in choices:
            reason = "is required" if value is None else f"must be one of {', '.join(choices)}"
            yield Violation(name, reason)
    if not isinstance(document.get("enabled"), (bool, type(None))):
        yield Violation("enabled", "must be true or false")
    if not _is_confidence(document.get("confidence_threshold")):
        yield Violation("confidence_threshold", "must be from 0 to 1")
    if not isinstance(document.get("config_json"), (dict, type(None))):
        yield Violation("config_json", "must be an object")
    yield from _placement_violations(document)


def _placement_violations(document: Mapping[str, Any]) -> Iterator[Violation]:
    if not isinstance(document.get("expression"), (str, type(None))):
        yield Violation("expression", "must be a string")
    scope = document.get("scope")
    if scope is not None and not (
        isinstance(scope, list) and all(isinstance(each, str) and each in SCOPES for each in scope)
    ):
        yield Violation("scope", f"must be a list of {', '.join(SCOPES)}")
    if not isinstance(document.get("scope_actions"), (dict, type(None))):
        yield Violation("scope_actions", "must be an object")
    if document.get("mode") not in (None, "", *MODES):
        yield Violation("mode", f"must be one of {', '.join(MODES)}")
    if document.get("redaction") not in (None, "", *REDACTION_KINDS):
        yield Violation("redaction", f"must be one of {', '.join(REDACTION_KINDS)}")


def _is_confidence(value: Any) -> bool:
    if value is None:
        return True
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and isfinite(value) and 0 <= value <= 1


def _customised_fields(rule: DlpRule, draft: DlpRule) -> tuple[str, ...]:
    """Returns the fields of a draft that are compared with a platform rule or set in it.

    A draft may leave out the rule's `config_json`; it is not compared then.
    """
    fields = ("detector_type", "entity_type", *CUSTOMISABLE)
    return (*fields, "config_json") if rule.detector_type == REGEX and draft.config_json else fields


def _name_of(document: Any, index: int) -> str:
    name = document.get("detector_name") if isinstance(document, dict) else None
    return name if isinstance(name, str) and name.strip() else f"rules[{index}]"


def _error_text(error: InvalidArgument) -> str:
    if isinstance(error, InvalidPattern):
        return f"Invalid regex: {error.violations[0].reason}"
    return error.message
