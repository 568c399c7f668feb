"""The keys that a suite may have under `policies`, one for each system of policies.

To add a system: one more entry. Its policies are put in force by the RPCs that its users call, so
what an entry may hold is what the RPC's request may hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pdp.cases.compliance_names import (
    bundle_by_name,
    group_by_name,
    rule_by_name,
    rules_by_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pdp.cases.model import JsonObject


def _as_it_is(body: JsonObject, earlier: Sequence[tuple[str, JsonObject]]) -> JsonObject:
    return body


@dataclass(frozen=True, slots=True)
class Section:
    """How the entries under one key are put in force, and out of it.

    Attributes:
        create: the RPC that puts an entry in force; the entry is its request.
        delete: the RPC that takes it out of force.
        identify: returns the request of `delete`, from the entry and the answer of `create`.
        aliases: names that entries have, by what the RPC's request calls them.
        refer: returns an entry with the ids of what it names, from the calls before it: the RPC and
            the answer of each.

    """

    create: str
    delete: str
    identify: Callable[[JsonObject, JsonObject], JsonObject]
    aliases: Mapping[str, str]
    refer: Callable[[JsonObject, Sequence[tuple[str, JsonObject]]], JsonObject] = _as_it_is


def _policy_id(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    return {"id": answer["policy"]["id"]}


def _own_id(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    return {"id": body["id"]}


def _customer_id(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    return {"customer_id": body["customer_id"]}


def _default_org_policy(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    """There is always an org policy: it is taken out of force by the default one."""
    return {
        "logging_level": "standard",
        "frameworks": {"gdpr": True, "ai_act": True, "soc2": False},
        "alert_rules": [],
        "blocking_rules": {"enabled": False, "block_on": "critical"},
    }


def _default_settings(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    """There are always settings: they are taken out of force by the default ones."""
    return {"failure_mode": "closed", "unknown_customer": "block"}


def _of_pack(answer: JsonObject) -> JsonObject:
    pack: JsonObject = answer.get("pack", answer)  # over HTTP it is the whole body
    return pack


def _pack_id(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    return {"pack_id": _of_pack(answer)["id"]}


def _user_id(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    return {"user_id": body["user_id"]}


def _empty_chain(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    """The org's chain cannot be deleted: an empty one takes it out of force."""
    return {"packs": []}


def _packs_by_name(body: JsonObject, earlier: Sequence[tuple[str, JsonObject]]) -> JsonObject:
    """A chain may name the suite's packs by their names, since their ids are not known before."""
    made = [_of_pack(answer) for name, answer in earlier if name == "CreatePolicyPack"]
    ids = {pack["name"]: pack["id"] for pack in made}
    packs = [{**each, "id": ids.get(each["id"], each["id"])} for each in body.get("packs", ())]
    return {**body, "packs": packs}


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


def _models_by_name(body: JsonObject, earlier: Sequence[tuple[str, JsonObject]]) -> JsonObject:
    """A switch may name the suite's models as `provider/model_id`."""
    made = [_of_model(answer) for name, answer in earlier if name == "CreateModelConfig"]
    ids = {f"{model['provider']}/{model['model_id']}": model["id"] for model in made}
    named = body.get("model_config_id", "")
    return {**body, "model_config_id": ids.get(named, named)}


def _dlp_rule_id(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    rule: JsonObject = answer.get("rule", answer)  # over HTTP it is the whole body
    return {"rule_id": rule["id"]}


def _bundle_id(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    bundle: JsonObject = answer.get("bundle", answer)  # over HTTP it is the whole body
    return {"bundle_id": bundle["id"]}


def _same_bundle(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    return {"bundle_id": body["bundle_id"]}


def _same_rule(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    """It stays as it was set: no other suite has this tenant."""
    return dict(body)


def _group_id(body: JsonObject, answer: JsonObject) -> dict[str, Any]:
    group: JsonObject = answer.get("group", answer)  # over HTTP it is the whole body
    return {"group_id": group["id"]}


SECTIONS: Final[Mapping[str, Section]] = {
    # The platform's, hence every tenant's: a suite adds models of a provider of its own.
    "models": Section("CreateModelConfig", "DeleteModelConfig", _model_config_id, {}),
    "kill_switch": Section(
        "DisableModel", "EnableModel", _switched_id, {"model": "model_config_id"}, _models_by_name
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
        "ReplaceOrgPolicyChain", "ReplaceOrgPolicyChain", _empty_chain, {}, _packs_by_name
    ),
    "user_chains": Section(
        "ReplaceUserPolicyChain", "DeleteUserPolicyChain", _user_id, {}, _packs_by_name
    ),
    "dlp": Section("CreateDlpRule", "DeleteDlpRule", _dlp_rule_id, {}),
    "compliance_bundles": Section(
        "CreateComplianceBundle", "DeleteComplianceBundle", _bundle_id, {}, rules_by_name
    ),
    "upgraded_bundles": Section(
        "UpgradeComplianceBundle",
        "DeactivateComplianceBundle",
        _same_bundle,
        {"bundle": "bundle_id"},
        bundle_by_name,
    ),
    "active_bundles": Section(
        "ActivateComplianceBundle",
        "DeactivateComplianceBundle",
        _same_bundle,
        {"bundle": "bundle_id"},
        bundle_by_name,
    ),
    "dlp_settings": Section(
        "UpdateDlpRule", "UpdateDlpRule", _same_rule, {"rule": "rule_id"}, rule_by_name
    ),
    "user_groups": Section("CreateUserGroup", "DeleteUserGroup", _group_id, {}, group_by_name),
}
"""In the order in which they are put in force."""
