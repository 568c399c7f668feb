"""The file: YAML with one mapping for each kind, and in it the policies by id.

    format: pdp-policies/1
    tenant: acme
    revision: 42
    policies:
      static_policy:
        pol_1: {id: pol_1, name: No rivals, category: custom, pattern: rival, action: block}

The file has no times of creation or change, so that two exports differ only if the policies do.
"""

from __future__ import annotations

import json
from collections import abc
from dataclasses import MISSING, fields
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import yaml
from pydantic import TypeAdapter, ValidationError

from pdp.cases.strict_yaml import describe, parse
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
from pdp.policy_files.state import KINDS, Body, State, policy_fields, store_fields

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
"""The RPC whose contract bounds the fields of each kind."""

_Loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


class _Dumper(yaml.SafeDumper):
    """Writes no aliases, so that each policy is complete."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    """Quotes a text with a line break other than a newline: YAML folds it in every other style."""
    style = '"' if not _UNICODE_BREAKS.isdisjoint(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_UNICODE_BREAKS: Final = frozenset("\x85\u2028\u2029")
_Dumper.add_representer(str, _represent_text)


def dump(state: State, tenant_id: str, revision: int | None = None) -> str:
    """Returns the text of the file for a tenant's policies, without empty kinds."""
    policies = {
        kind: {entity_id: policy_fields(kind, body) for entity_id, body in entities.items()}
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


def load(raw: bytes) -> tuple[str, State]:
    """Reads a file; returns its tenant, and the policies of its kinds.

    Raises:
        InvalidArgument: the file has another format, or a policy exceeds the bounds of the API. The
            error has all violations, each with its path.
    """
    document = _parse(raw)
    violations = list(_head(document))
    policies = document.get("policies")
    state: State = {}
    if isinstance(policies, dict):
        for kind, entities in policies.items():
            state[kind] = {}
            for place, entity_id, body in _entities(kind, entities, violations):
                violations += _violations(kind, entity_id, body, place)
                state[kind][entity_id] = body
    if violations:
        raise InvalidArgument.of(*violations)
    return document["tenant"], state


def _parse(raw: bytes) -> Body:
    if len(raw) > MAX_FILE_BYTES:
        raise InvalidArgument.of(Violation("FILE", f"is larger than {MAX_FILE_BYTES} bytes"))
    try:
        text = raw.decode()
        # A few lines of aliases can expand to more than fits into memory.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=_Loader)):
            raise InvalidArgument.of(Violation("FILE", "must have no YAML aliases"))
        document = parse(text)
    except (UnicodeDecodeError, RecursionError):
        reason = "is not YAML: it is not UTF-8 text, or nested too deeply"
        raise InvalidArgument.of(Violation("FILE", reason)) from None
    except yaml.YAMLError as error:
        raise InvalidArgument.of(Violation("FILE", f"is not YAML: {describe(error)}")) from None
    if not isinstance(document, dict):
        raise InvalidArgument.of(Violation("FILE", "must be a mapping"))
    return document


def _head(document: Body) -> Iterator[Violation]:
    for name in document.keys() - {"format", "tenant", "revision", "policies"}:
        yield Violation(name, "is unknown")
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


def _violations(kind: str, entity_id: str, body: Body, place: str) -> Iterator[Violation]:
    known = {each.name: each for each in fields(ENTITY_CLASSES[kind])}
    allowed = known.keys() - store_fields(kind)
    for name in body.keys() - allowed:
        yield Violation(f"{place}.{name}", "is unknown")
    for name in sorted(allowed - body.keys()):
        if known[name].default is known[name].default_factory is MISSING:
            yield Violation(f"{place}.{name}", "is required")
    if "id" in known and body.get("id", entity_id) != entity_id and kind != "policy_chain":
        yield Violation(f"{place}.id", "differs from the policy's key")
    try:
        _adapter(kind).validate_json(json.dumps(body), strict=True)
    except ValidationError as error:
        for each in error.errors():
            path = ".".join(str(step) for step in each["loc"])
            if each["type"] != "missing":
                yield Violation(f"{place}.{path}", _TYPE_REASONS.get(each["type"], _OTHER_REASON))
    except (TypeError, ValueError, KeyError):
        yield Violation(place, "has an invalid structure")
    else:
        yield from _contract_violations(kind, body, place)


_OTHER_REASON: Final = "has a value of another type"
_TYPE_REASONS: Final = {
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping",
    "float_type": "must be a number",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "mapping_type": "must be a mapping",
    "string_type": "must be a string",
    "tuple_type": "must be a list",
}
"""What is wrong with a value, by the type of pydantic's error."""


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    adapter: TypeAdapter[Any] = TypeAdapter(ENTITY_CLASSES[kind])
    # The domain imports these types only for type checkers; pydantic needs them.
    adapter.rebuild(_types_namespace={"Mapping": abc.Mapping, "Sequence": abc.Sequence, "Any": Any})
    return adapter


def _contract_violations(kind: str, body: Body, place: str) -> Iterator[Violation]:
    """Checks a policy against the contract of the RPC that creates it."""
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
    fields_of_body = {name: body[name] for name in shared if body[name] is not None}
    try:
        decode(fields_of_body, message)
        validate(message)
    except InvalidArgument as error:
        for violation in error.violations:
            yield Violation(f"{place}.{violation.field}", violation.reason)
