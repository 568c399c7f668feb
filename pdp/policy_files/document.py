"""The file: YAML, one mapping a kind, the policies in it by their ids.

    format: pdp-policies/1
    tenant: acme
    revision: 42
    policies:
      static_policy:
        pol_1: {id: pol_1, name: No rivals, category: custom, pattern: rival, action: block}

It has what the policies say, and nothing of when they were written, so that two exports differ only
where the policies do.
"""

from __future__ import annotations

import json
from collections import abc
from dataclasses import MISSING, fields
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import yaml
from pydantic import TypeAdapter, ValidationError

from pdp.cases.yaml_source import parse
from pdp.client import rpc
from pdp.domain import (
    customer_policy,
    dlp_rule,
    org_policy,
    policy_pack,
    static_policy,
    tenant_settings,
    user_group,
)
from pdp.domain.kinds import ENTITY_CLASSES
from pdp.domain.tenant import is_tenant_id
from pdp.errors import InvalidArgument, Violation
from pdp.jsonpb import decode
from pdp.messages.validation import validate
from pdp.policy_files.state import KINDS, Body, State, kept_by_the_store, meant

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FORMAT: Final = "pdp-policies/1"
MAX_FILE_BYTES: Final = 32 << 20
MAX_ID: Final = 256

_CREATED_BY: Final[Mapping[str, str]] = {
    static_policy.KIND: "CreateStaticPolicy",
    policy_pack.KIND: "CreatePolicyPack",
    policy_pack.RULE_KIND: "CreatePolicyRule",
    dlp_rule.KIND: "CreateDlpRule",
    user_group.KIND: "CreateUserGroup",
    org_policy.KIND: "UpdateOrgPolicy",
    tenant_settings.KIND: "UpdateTenantSettings",
}
"""The RPC whose contract bounds what a policy of the kind may say."""

_Loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


class _Dumper(yaml.SafeDumper):
    """Writes no aliases: each policy stands for itself."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def dumped(state: State, tenant_id: str, revision: int | None = None) -> str:
    """Returns the file of a tenant's policies; kinds without any are left out."""
    policies = {
        kind: {entity_id: meant(kind, body) for entity_id, body in entities.items()}
        for kind, entities in state.items()
        if entities
    }
    head: Body = {"format": FORMAT, "tenant": tenant_id}
    if revision is not None:
        head["revision"] = revision
    text: str = yaml.dump(
        {**head, "policies": policies},
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=100,
    )
    return text


def loaded(raw: bytes) -> tuple[str, State]:
    """Reads a file; returns its tenant, and the policies of the kinds that it has.

    Raises:
        InvalidArgument: it is no such file, or what it says is not within the bounds that hold for
            anyone who writes policies; all faults are named, each with its place.
    """
    document = _parsed(raw)
    violations = list(_head(document))
    policies = document.get("policies")
    state: State = {}
    if isinstance(policies, dict):
        for kind, entities in policies.items():
            state[kind] = {}
            for place, entity_id, body in _entities(kind, entities, violations):
                violations += _faults(kind, entity_id, body, place)
                state[kind][entity_id] = body
    if violations:
        raise InvalidArgument.of(*violations)
    return document["tenant"], state


def _parsed(raw: bytes) -> Body:
    if len(raw) > MAX_FILE_BYTES:
        raise InvalidArgument.of(Violation("FILE", f"is larger than {MAX_FILE_BYTES} bytes"))
    try:
        text = raw.decode()
        # A few lines of aliases can stand for more than any memory holds.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=_Loader)):
            raise InvalidArgument.of(Violation("FILE", "must have no YAML aliases"))
        document = parse(text)
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise InvalidArgument.of(Violation("FILE", f"is not YAML: {error}")) from None
    if not isinstance(document, dict):
        raise InvalidArgument.of(Violation("FILE", "must be a mapping"))
    return document


def _head(document: Body) -> Iterator[Violation]:
    for name in document.keys() - {"format", "tenant", "revision", "policies"}:
        yield Violation(name, "is not known")
    if document.get("format") != FORMAT:
        yield Violation("format", f"must be {FORMAT}")
    tenant = document.get("tenant")
    if not (isinstance(tenant, str) and is_tenant_id(tenant)):
        yield Violation("tenant", "must be 1 to 128 characters of A-Z a-z 0-9 . _ -")
    if not isinstance(document.get("policies"), dict):
        yield Violation("policies", "must be a mapping of kinds")


def _entities(
    kind: str, entities: Any, violations: list[Violation]
) -> Iterator[tuple[str, str, Body]]:
    if kind not in KINDS:
        violations.append(Violation(f"policies.{kind}", f"must be one of {', '.join(KINDS)}"))
        return
    if not isinstance(entities, dict):
        violations.append(Violation(f"policies.{kind}", "must be a mapping of policies by id"))
        return
    for entity_id, body in entities.items():
        place = f"policies.{kind}.{entity_id}"
        if not 0 < len(entity_id) <= MAX_ID:
            violations.append(Violation(place, f"the id must have 1 to {MAX_ID} characters"))
        elif not isinstance(body, dict):
            violations.append(Violation(place, "must be a mapping"))
        else:
            yield place, entity_id, body


def _faults(kind: str, entity_id: str, body: Body, place: str) -> Iterator[Violation]:
    known = {each.name: each for each in fields(ENTITY_CLASSES[kind])}
    allowed = known.keys() - kept_by_the_store(kind)
    for name in body.keys() - allowed:
        yield Violation(f"{place}.{name}", "is not known")
    for name in sorted(allowed - body.keys()):
        if known[name].default is known[name].default_factory is MISSING:
            yield Violation(f"{place}.{name}", "is required")
    if "id" in known and body.get("id", entity_id) != entity_id and kind != "policy_chain":
        yield Violation(f"{place}.id", "differs from the id that the policy stands under")
    try:
        _adapter(kind).validate_json(json.dumps(body), strict=True)
    except ValidationError as error:
        for each in error.errors():
            path = ".".join(str(step) for step in each["loc"])
            if each["type"] != "missing":
                yield Violation(f"{place}.{path}", each["msg"])
    except (TypeError, ValueError, KeyError) as error:
        yield Violation(place, f"cannot be read: {error}")
    else:
        yield from _out_of_bounds(kind, body, place)


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    adapter: TypeAdapter[Any] = TypeAdapter(ENTITY_CLASSES[kind])
    # The domain imports types for type checkers alone; here they are needed.
    adapter.rebuild(_types_namespace={"Mapping": abc.Mapping, "Sequence": abc.Sequence, "Any": Any})
    return adapter


def _out_of_bounds(kind: str, body: Body, place: str) -> Iterator[Violation]:
    """Holds a policy against the contract that everyone else writes it by."""
    if kind == customer_policy.KIND:
        for violation in customer_policy.find_violations(body["document"]):
            yield Violation(f"{place}.document.{violation.field}", violation.reason)
    if kind == org_policy.KIND and body.get("block_on", "low") not in org_policy.RISK_LEVELS:
        levels = ", ".join(org_policy.RISK_LEVELS)
        yield Violation(f"{place}.block_on", f"must be one of {levels}")
    if kind not in _CREATED_BY:
        return
    message = rpc(_CREATED_BY[kind]).request()
    shared = message.DESCRIPTOR.fields_by_name.keys() & body.keys()
    given = {name: body[name] for name in shared if body[name] is not None}
    try:
        decode(given, message)
        validate(message)
    except InvalidArgument as error:
        for violation in error.violations:
            yield Violation(f"{place}.{violation.field}", violation.reason)
