"""How suites name compliance bundles and DLP rules, whose ids are not known before a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.catalog.compliance import bundle_id, bundle_rule_id
from pdp.catalog.dlp import rule_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.cases.model import JsonObject

_BUNDLE: Final = "CreateComplianceBundle"
_RULE: Final = "CreateDlpRule"


def bundle_by_name(body: JsonObject, earlier: Sequence[tuple[str, JsonObject]]) -> JsonObject:
    """Names the bundle to be switched: a suite's own by its name, a seeded one by its key."""
    return {**body, "bundle_id": _bundle(body.get("bundle_id", ""), earlier)}


def rules_by_name(body: JsonObject, earlier: Sequence[tuple[str, JsonObject]]) -> JsonObject:
    """Names a bundle's rules: the suite's own, by their names."""
    if "rule_ids" not in body:
        return body
    return {**body, "rule_ids": [_rule(each, earlier) for each in body["rule_ids"]]}


def group_by_name(body: JsonObject, earlier: Sequence[tuple[str, JsonObject]]) -> JsonObject:
    """Names what a group has: bundles as in `bundle_by_name`, rules as in `_rule`."""
    found: dict[str, Any] = dict(body)
    if "bundle_ids" in body:
        found["bundle_ids"] = [_bundle(each, earlier) for each in body["bundle_ids"]]
    if "dlp_rules" in body:
        found["dlp_rules"] = [
            {**each, "rule_id": _rule(each["rule_id"], earlier)} for each in body["dlp_rules"]
        ]
    return found


def rule_by_name(body: JsonObject, earlier: Sequence[tuple[str, JsonObject]]) -> JsonObject:
    """Names the rule to be changed; see `_rule`."""
    return {**body, "rule_id": _rule(body.get("rule_id", ""), earlier)}


def _bundle(name: str, earlier: Sequence[tuple[str, JsonObject]]) -> str:
    made = _made(_BUNDLE, "bundle", "name", earlier)
    return made.get(name) or bundle_id(name)


def _rule(name: str, earlier: Sequence[tuple[str, JsonObject]]) -> str:
    """A suite's own rule by its name, a seeded bundle's as `pci_dss/card`, else by detector."""
    made = _made(_RULE, "rule", "detector_name", earlier)
    bundle, slash, rule = name.partition("/")
    return made.get(name) or (bundle_rule_id(bundle, rule) if slash else rule_id(name))


def _made(
    create: str, key: str, name: str, earlier: Sequence[tuple[str, JsonObject]]
) -> dict[str, str]:
    """Ids by name of what was made; over HTTP an answer is the whole body."""
    found = (answer.get(key, answer) for made_by, answer in earlier if made_by == create)
    return {each[name]: each["id"] for each in found}
