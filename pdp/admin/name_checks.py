"""Warns of names in policies that nothing has: models, providers, groups and types of data.

Such a name is valid, because a model, a group or a rule with it may be added later. Until then, the
condition that has it is met by less than its author thinks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.admin.known_names import MAX_COMPARED, KnownNames, closest
from pdp.domain import policy_exception, policy_pack
from pdp.domain.write_warning import (
    UNKNOWN_ENTITY_TYPE,
    UNKNOWN_GROUP,
    UNKNOWN_MODEL,
    UNKNOWN_PROVIDER,
    WriteWarning,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pdp.admin.written_policy import WriteContext, WrittenPolicy


class _Name(NamedTuple):
    """A name in a policy.

    Attributes:
        field: the path of its field.
        what: `model`, `provider`, `group` or `entity_type`.
        value: the name.
    """

    field: str
    what: str
    value: str


_CONDITIONS: Final = {
    "models": "model",
    "not_models": "model",
    "providers": "provider",
    "not_providers": "provider",
    "user_groups": "group",
    "not_user_groups": "group",
    "entity_types": "entity_type",
}
_EXCEPTIONS: Final = {"models": "model", "groups": "group", "entity_types": "entity_type"}


def warn_of_unknown_names(context: WriteContext, policy: WrittenPolicy) -> Iterator[WriteWarning]:
    """Yields a warning for each name in a policy that nothing has."""
    names = context.known_names
    for name in _names_in(policy):
        check = _CHECKS[name.what]
        if name.value.strip() and not check.is_known(names, name.value):
            message = check.message.format(name.value[:MAX_COMPARED])
            suggestions = closest(name.value, check.known(names))
            yield WriteWarning(policy.prefix + name.field, check.code, message, suggestions)


def _names_in(policy: WrittenPolicy) -> Iterator[_Name]:
    body = policy.body
    if policy.kind == policy_pack.RULE_KIND:
        yield from _listed(body.get("conditions") or {}, _CONDITIONS, "conditions.")
        target = (body.get("action") or {}).get("route_to_model")
        if target:
            yield _Name("action.route_to_model", "model", target)
    elif policy.kind == policy_exception.KIND:
        yield from _listed(body, _EXCEPTIONS, "")


def _listed(document: Mapping[str, Any], fields: Mapping[str, str], prefix: str) -> Iterator[_Name]:
    for field, what in fields.items():
        for index, value in enumerate(document.get(field) or ()):
            yield _Name(f"{prefix}{field}[{index}]", what, value)


class _Check(NamedTuple):
    """How names of one kind are checked.

    Attributes:
        code: the code of the warning.
        is_known: whether a tenant has a name.
        known: returns names that the author may mean.
        message: the message, with a place for the name.
    """

    code: str
    is_known: Callable[[KnownNames, str], bool]
    known: Callable[[KnownNames], Iterable[str]]
    message: str


_CHECKS: Final = {
    "model": _Check(
        UNKNOWN_MODEL,
        KnownNames.is_model,
        lambda names: names.models,
        '"{}" is no model of the catalog; correct the name, or add the model',
    ),
    "provider": _Check(
        UNKNOWN_PROVIDER,
        KnownNames.is_provider,
        lambda names: names.providers,
        '"{}" is no provider of the catalog; correct the name, or add a model of it',
    ),
    "group": _Check(
        UNKNOWN_GROUP,
        KnownNames.is_group,
        lambda names: names.groups,
        'no user group is named "{}", so only requests that name the group are in it',
    ),
    "entity_type": _Check(
        UNKNOWN_ENTITY_TYPE,
        KnownNames.is_entity_type,
        lambda names: names.entity_types,
        'no detector and no DLP rule finds "{}"; only findings that requests bring can have it',
    ),
}
