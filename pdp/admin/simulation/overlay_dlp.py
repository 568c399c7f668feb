"""Candidate DLP rules, laid over a tenant's own for one simulation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pdp.admin.dlp.entities import SETTABLE
from pdp.domain.dlp_rule import CUSTOMISATION_KIND, KIND, DlpCustomisation, DlpRule
from pdp.domain.effective_dlp_rules import tenant_rules
from pdp.engine.dlp.config import read_config
from pdp.errors import InvalidArgument, InvalidPattern, Violation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.domain.policy_set import PolicySet
    from pdp.engine.snapshot import Platform

_PLACE: Final = "overlay.dlp_rules"


def lay_dlp_rules(own: PolicySet, platform: Platform, candidates: Sequence[DlpRule]) -> PolicySet:
    """Returns `own` with the candidates in it.

    A candidate replaces the rule of its id, else of its name, else is added. One for a platform
    rule sets how strict that is for the tenant.

    Args:
        own: the tenant's policies.
        platform: what ships with the product.
        candidates: whole rules; their ids may be empty.

    Raises:
        InvalidArgument: some are not well-formed, or change what is read-only in a platform rule.
        InvalidPattern: among them is a pattern that is not RE2.
    """
    known = tenant_rules(platform.policies, own)
    mine = own.of_kind(KIND)
    by_name = {rule.detector_name: rule.id for rule in known.values()}
    laid: dict[str, DlpRule] = {}
    customised: dict[str, DlpCustomisation] = {}
    faults: list[InvalidArgument] = []
    for index, candidate in enumerate(candidates):
        named = by_name.get(candidate.detector_name)
        rule_id = candidate.id or named or f"overlay_dlp_{index}"
        try:
            if rule_id in known and rule_id not in mine:
                customised[rule_id] = _customisation(known[rule_id], candidate, index)
            else:
                present = known.get(rule_id, candidate)
                rule = replace(
                    candidate, id=rule_id, bundle_id=present.bundle_id, clause=present.clause
                )
                read_config(rule, platform.detectors, f"{_PLACE}[{index}].")
                laid[rule_id] = rule
        except InvalidArgument as error:
            faults.append(error)
    if faults:
        patterns = any(isinstance(error, InvalidPattern) for error in faults)
        kind = InvalidPattern if patterns else InvalidArgument
        raise kind.of(*(violation for error in faults for violation in error.violations))
    return own.with_policies(KIND, laid).with_policies(CUSTOMISATION_KIND, customised)


def _customisation(rule: DlpRule, candidate: DlpRule, index: int) -> DlpCustomisation:
    fixed = ["detector_name", "detector_type", "entity_type"]
    if candidate.config_json:
        fixed.append("config_json")
    violations = [
        Violation(f"{_PLACE}[{index}].{name}", "is read-only in a platform rule")
        for name in fixed
        if getattr(candidate, name) != getattr(rule, name)
    ]
    if violations:
        raise InvalidArgument.of(*violations)
    return DlpCustomisation(rule.id, *(getattr(candidate, name) for name in SETTABLE))
