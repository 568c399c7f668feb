"""The keys that a suite may have under `policies`, one or more for each policy system.

To add a policy system, add an entry to `SECTIONS`. The policies are put in force by the RPCs that
users call, so an entry may have the fields of the RPC's request.

Entities get their ids only during a run. So suites refer to policies by name, and the functions
`_resolve_…` replace names by ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pdp.catalog.compliance import bundle_id, bundle_rule_id
from pdp.catalog.dlp import rule_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pdp.cases.model import JsonObject


def _resolve_nothing(body: JsonObject, earlier: Sequence[tuple[str, JsonObject]]) -> JsonObject:
    return body


@dataclass(frozen=True, slots=True)
class Section:
    """How entries under one key are put in force and removed.

    Attributes:
        create: the RPC that puts an entry in force; the entry is its request.
        delete: the RPC that removes it.
        identify: returns the request of `delete`, from the entry and the response of `create`.
        aliases: key names in suites, with the field of the RPC's request that each stands for.
        resolve: returns an entry with ids in place of names, from the earlier calls: the RPC and
            the response of each.
    """

    create: str
    delete: str
    identify: Callable[[JsonObject, JsonObject], JsonObject]
    aliases: Mapping[str, str]
    resolve: Callable[[JsonObject, Sequence[tuple[str, JsonObject]]], JsonObject] = _resolve_nothing


def _policy_id(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    return {"id": answer["policy"]["id"]}


def _own_id(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    return {"id": body["id"]}


def _customer_id(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    return {"customer_id": body["customer_id"]}


def _default_org_policy(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    """An org policy cannot be deleted: the default one replaces it."""
    return {
        "logging_level": "standard",
        "frameworks": {"gdpr": True, "ai_act": True, "soc2": False},
        "alert_rules": [],
        "blocking_rules": {"enabled": False, "block_on": "critical"},
    }


def _default_settings(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    """Settings cannot be deleted: the default ones replace them."""
    return {
        "failure_mode": "closed",
        "unknown_customer": "block",
        "unknown_model": "allow",
        "max_timestamp_skew_s": 0,
        "require_customer": False,
        "exceptions_need_approval": False,
        "permanent_exceptions": False,
    }


def _of_pack(answer: JsonObject) -> JsonObject:
    pack: JsonObject = answer.get("pack", answer)  # over HTTP it is the whole body
    return pack


def _pack_id(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    return {"pack_id": _of_pack(answer)["id"]}


def _user_id(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    return {"user_id": body["user_id"]}


def _empty_chain(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    """The org's chain cannot be deleted: an empty one replaces it."""
    return {"packs": []}


def _resolve_packs(body: JsonObject, earlier: Sequence[tuple[str, JsonObject]]) -> JsonObject:
    """Replaces the names of the suite's packs in a chain."""
    packs = [_of_pack(answer) for name, answer in earlier if name == "CreatePolicyPack"]
    ids = {pack["name"]: pack["id"] for pack in packs}
    entries = [{**each, "id": ids.get(each["id"], each["id"])} for each in body.get("packs", ())]
    return {**body, "packs": entries}


def _of_model(answer: JsonObject) -> JsonObject:
    model: JsonObject = answer.get("model", answer)  # over HTTP it is the whole body
    return model


def _model_config_id(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    return {"model_config_id": _of_model(answer)["id"]}


def _switched_id(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    state: JsonObject = answer.get("state", answer)
    return {"model_config_id": state["id"]}


def _limit_id(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    limit: JsonObject = answer.get("limit", answer)  # over HTTP it is the whole body
    return {"limit_id": limit["id"]}


def _resolve_models(body: JsonObject, earlier: Sequence[tuple[str, JsonObject]]) -> JsonObject:
    """Replaces `provider/model_id` of the suite's models in a kill switch."""
    models = [_of_model(answer) for name, answer in earlier if name == "CreateModelConfig"]
    ids = {f"{model['provider']}/{model['model_id']}": model["id"] for model in models}
    name = body.get("model_config_id", "")
    return {**body, "model_config_id": ids.get(name, name)}


def _dlp_rule_id(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    rule: JsonObject = answer.get("rule", answer)  # over HTTP it is the whole body
    return {"rule_id": rule["id"]}


def _bundle_id(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    bundle: JsonObject = answer.get("bundle", answer)  # over HTTP it is the whole body
    return {"bundle_id": bundle["id"]}


def _same_bundle(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    return {"bundle_id": body["bundle_id"]}


def _same_rule(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    """The settings stay: no other suite uses this tenant."""
    return dict(body)


def _group_id(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    group: JsonObject = answer.get("group", answer)  # over HTTP it is the whole body
    return {"group_id": group["id"]}


_BUNDLE: Final = "CreateComplianceBundle"
_RULE: Final = "CreateDlpRule"


def _resolve_bundle(body: JsonObject, earlier: Sequence[tuple[str, JsonObject]]) -> JsonObject:
    """Replaces the name of a bundle of the suite, or the key of a seeded bundle."""
    return {**body, "bundle_id": _bundle(body.get("bundle_id", ""), earlier)}


def _resolve_rules(body: JsonObject, earlier: Sequence[tuple[str, JsonObject]]) -> JsonObject:
    """Replaces the names of the suite's rules in a bundle."""
    if "rule_ids" not in body:
        return body
    return {**body, "rule_ids": [_rule(each, earlier) for each in body["rule_ids"]]}


def _resolve_group(body: JsonObject, earlier: Sequence[tuple[str, JsonObject]]) -> JsonObject:
    """Replaces names in a group: bundles as in `_bundle`, rules as in `_rule`."""
    resolved: dict[str, Any] = dict(body)
    if "bundle_ids" in body:
        resolved["bundle_ids"] = [_bundle(each, earlier) for each in body["bundle_ids"]]
    if "dlp_rules" in body:
        resolved["dlp_rules"] = [
            {**each, "rule_id": _rule(each["rule_id"], earlier)} for each in body["dlp_rules"]
        ]
    return resolved


def _resolve_rule(body: JsonObject, earlier: Sequence[tuple[str, JsonObject]]) -> JsonObject:
    """Replaces the name of the rule; see `_rule`."""
    return {**body, "rule_id": _rule(body.get("rule_id", ""), earlier)}


def _exception_id(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    exception: JsonObject = answer.get("exception", answer)  # over HTTP it is the whole body
    return {"id": exception["id"]}


def _resolve_exception(body: JsonObject, earlier: Sequence[tuple[str, JsonObject]]) -> JsonObject:
    """Replaces names in an exception: of static policies, DLP rules and rules of packs."""
    packs = [_of_pack(answer) for name, answer in earlier if name == "CreatePolicyPack"]
    rules = {rule["name"]: rule["id"] for pack in packs for rule in pack.get("rules", ())}
    policies = _created_ids("CreateStaticPolicy", "policy", "name", earlier)
    resolved: dict[str, Any] = dict(body)
    if "policies" in body:
        resolved["policies"] = [policies.get(each, each) for each in body["policies"]]
    if "dlp_rules" in body:
        resolved["dlp_rules"] = [_rule(each, earlier) for each in body["dlp_rules"]]
    if "rules" in body:
        resolved["rules"] = [rules.get(each, each) for each in body["rules"]]
    return resolved


def _bundle(name: str, earlier: Sequence[tuple[str, JsonObject]]) -> str:
    ids = _created_ids(_BUNDLE, "bundle", "name", earlier)
    return ids.get(name) or bundle_id(name)


def _rule(name: str, earlier: Sequence[tuple[str, JsonObject]]) -> str:
    """Returns the id of a rule: by name in the suite, `pci_dss/card` in a bundle, or detector."""
    ids = _created_ids(_RULE, "rule", "detector_name", earlier)
    bundle, slash, rule = name.partition("/")
    return ids.get(name) or (bundle_rule_id(bundle, rule) if slash else rule_id(name))


def _created_ids(
    create: str, key: str, name: str, earlier: Sequence[tuple[str, JsonObject]]
) -> dict[str, str]:
    """Returns the ids of created entities by name; over HTTP a response is the whole body."""
    entities = (answer.get(key, answer) for rpc_name, answer in earlier if rpc_name == create)
    return {each[name]: each["id"] for each in entities}


SECTIONS: Final[Mapping[str, Section]] = {
    # Models belong to the platform, so a suite should use its own provider name.
    "models": Section("CreateModelConfig", "DeleteModelConfig", _model_config_id, {}),
    "kill_switch": Section(
        "DisableModel", "EnableModel", _switched_id, {"model": "model_config_id"}, _resolve_models
    ),
    "static_policies": Section("CreateStaticPolicy", "DeleteStaticPolicy", _policy_id, {}),
    "overrides": Section(
        "CreateStaticPolicyOverride",
        "DeleteStaticPolicyOverride",
        _own_id,
        {"policy_id": "id"},
    ),
    "limits": Section("CreateLimit", "DeleteLimit", _limit_id, {}),
    "customer_policies": Section("PutCustomerPolicy", "DeleteCustomerPolicy", _customer_id, {}),
    "org_policy": Section("UpdateOrgPolicy", "UpdateOrgPolicy", _default_org_policy, {}),
    "tenant_settings": Section(
        "UpdateTenantSettings", "UpdateTenantSettings", _default_settings, {}
    ),
    "packs": Section("CreatePolicyPack", "DeletePolicyPack", _pack_id, {}),
    "chain": Section(
        "ReplaceOrgPolicyChain", "ReplaceOrgPolicyChain", _empty_chain, {}, _resolve_packs
    ),
    "user_chains": Section(
        "ReplaceUserPolicyChain", "DeleteUserPolicyChain", _user_id, {}, _resolve_packs
    ),
    "dlp": Section("CreateDlpRule", "DeleteDlpRule", _dlp_rule_id, {}),
    "compliance_bundles": Section(
        "CreateComplianceBundle", "DeleteComplianceBundle", _bundle_id, {}, _resolve_rules
    ),
    "upgraded_bundles": Section(
        "UpgradeComplianceBundle",
        "DeactivateComplianceBundle",
        _same_bundle,
        {"bundle": "bundle_id"},
        _resolve_bundle,
    ),
    "active_bundles": Section(
        "ActivateComplianceBundle",
        "DeactivateComplianceBundle",
        _same_bundle,
        {"bundle": "bundle_id"},
        _resolve_bundle,
    ),
    "dlp_settings": Section(
        "UpdateDlpRule", "UpdateDlpRule", _same_rule, {"rule": "rule_id"}, _resolve_rule
    ),
    "user_groups": Section("CreateUserGroup", "DeleteUserGroup", _group_id, {}, _resolve_group),
    "exceptions": Section(
        "CreateException", "DeleteException", _exception_id, {}, _resolve_exception
    ),
}
"""In the order in which entries are put in force."""
