"""Reads the entries of a policy file: checks them against the contracts, without the tenant."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.admin.customer_policies import check_policy
from pdp.admin.exceptions import check_exception
from pdp.admin.org_policy import check_alert_rules
from pdp.admin.placements import check_placement
from pdp.admin.policy_packs.rules import check_rule
from pdp.domain.customer_policy import CustomerPolicy, abbreviate
from pdp.domain.dlp_rule import ACTION_TIERS
from pdp.domain.placement import PLACEMENT_FIELDS
from pdp.domain.policy_exception import PolicyException
from pdp.domain.static_policy import ACTIONS, StaticOverride
from pdp.engine.text.patterns import CompiledPattern
from pdp.errors import InvalidArgument, InvalidPattern, Violation
from pdp.jsonpb import decode
from pdp.jsonpb.fields import STRUCT, TIMESTAMP, bare_list, is_map
from pdp.jsonpb.structs import struct_object
from pdp.messages.validation import validate
from pdp.policy_files.shape import SECTIONS, Section

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from google.protobuf.message import Message

    from pdp.domain.placement import Placed

Fields = dict[str, Any]

MAX_ERRORS: Final = 32
"""Entries with errors that are reported together."""

_TYPES: Final[Mapping[str, type]] = {"string": str, "boolean": bool}
_MAX_TEXT: Final = 256


class Entry(NamedTuple):
    """One entry of a section.

    Attributes:
        path: its place in the document, with a dot at the end.
        fields: the fields that are set, by their names in the request.
        extras: the fields that the request does not have.
    """

    path: str
    fields: Fields
    extras: Fields


Entries = dict[str, list[Entry]]
"""The entries of a document, by section, in the order of `SECTIONS`."""


def read_entries(policies: Mapping[str, Any], prefix: str = "policies.") -> Entries:
    """Returns the entries of a document.

    Args:
        policies: the document: entries by section, as JSON values.
        prefix: put before the paths of errors.

    Raises:
        InvalidArgument: a section or a field is unknown, or a value exceeds the bounds of the API;
            the error names the faults of at most `MAX_ERRORS` entries.
        InvalidPattern: some patterns are not RE2.
        InvalidCondition: a condition has faults.
    """
    unknown = [key for key in policies if key not in SECTIONS]
    if unknown:
        shown = unknown[:MAX_ERRORS]
        raise InvalidArgument.of(
            *(Violation(f"{prefix}{abbreviate(key)}", _unknown_section(key)) for key in shown)
        )
    entries: Entries = {}
    errors: list[InvalidArgument] = []
    for key, section in SECTIONS.items():
        if policies.get(key) is None:
            continue
        entries[key] = []
        for path, value in _values(section, policies[key], f"{prefix}{key}"):
            try:
                entries[key].append(_entry(key, section, value, path))
            except InvalidArgument as error:
                errors.append(error)
                if len(errors) == MAX_ERRORS:
                    break
    if errors:
        raise InvalidArgument.merged(errors)
    return entries


def _unknown_section(key: str) -> str:
    near = get_close_matches(key[:_MAX_TEXT], SECTIONS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"the known keys are {', '.join(SECTIONS)}"
    return f"unknown key; {hint}"


def _values(section: Section, value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if section.single and isinstance(value, dict):
        yield f"{path}.", value
        return
    if not isinstance(value, list):
        raise InvalidArgument.of(Violation(path, "must be a list"))
    if len(value) > section.most:
        raise InvalidArgument.of(Violation(path, f"must have at most {section.most} entries"))
    for index, each in enumerate(value):
        yield f"{path}[{index}].", each


def _entry(key: str, section: Section, value: Any, path: str) -> Entry:
    if not isinstance(value, dict):
        raise InvalidArgument.of(Violation(path[:-1], "must be a mapping"))
    extras = {name: value[name] for name in section.extras if value.get(name) is not None}
    body = {
        section.aliases.get(name, name): member
        for name, member in value.items()
        if name not in section.extras
    }
    violations = [
        Violation(f"{path}{name}", f"must be a {section.extras[name]}")
        for name, member in extras.items()
        if not _is(section.extras[name], member)
    ]
    violations += [
        Violation(f"{path}{name}", "is not a field of a policy file")
        for name in section.omitted & body.keys()
    ]
    if violations:
        raise InvalidArgument.of(*violations)
    message = section.request()
    decode(_with_pack_names(key, body), message, path)
    validate(message, path)
    entry = Entry(path, set_fields(message), extras)
    _check(key, entry)
    return entry


def _is(json_type: str, value: Any) -> bool:
    return type(value) is _TYPES[json_type] and not (
        isinstance(value, str) and not 0 < len(value) <= _MAX_TEXT
    )


def _with_pack_names(key: str, body: Fields) -> Fields:
    """Returns the entry of a chain with an object for each pack that is only a name."""
    if key not in {"chain", "user_chains"} or not isinstance(body.get("packs"), list):
        return body
    return {**body, "packs": [_pack(each) for each in body["packs"]]}


def _pack(value: Any) -> Any:
    if isinstance(value, str):
        return {"id": value}
    if isinstance(value, dict) and "pack" in value and "id" not in value:
        return {("id" if name == "pack" else name): member for name, member in value.items()}
    return value


def set_fields(message: Message) -> Fields:
    """Returns the fields that are set in a message, as JSON values."""
    fields: Fields = {}
    for field, value in message.ListFields():
        items = bare_list(field)
        if items is not None:
            fields[field.name] = [_value(items, each) for each in getattr(value, items.name)]
        elif is_map(field):
            fields[field.name] = dict(value)
        elif field.is_repeated:
            fields[field.name] = [_value(field, each) for each in value]
        else:
            fields[field.name] = _value(field, value)
    return fields


def _value(field: Any, value: Any) -> Any:
    if field.message_type is None:
        return value
    if field.message_type.full_name == STRUCT:
        return struct_object(value)
    if field.message_type.full_name == TIMESTAMP:
        return value.seconds + value.nanos / 1e9
    return set_fields(value)


def _check(key: str, entry: Entry) -> None:
    """Checks the patterns and conditions of an entry, so that an error has their place.

    Raises:
        InvalidArgument: or a subclass, if one is not valid.
    """
    fields, path = entry.fields, entry.path
    try:
        if key == "static_policies":
            _check_pattern(fields["pattern"])
        if key == "org_policy":
            check_alert_rules(fields.get("alert_rules", ()))
        if key == "exceptions":
            check_exception(PolicyException("", **fields))
        if key in _ACTIONS:
            check_placement(_placed(fields), _ACTIONS[key])
    except InvalidArgument as error:
        raise error.below(path) from None
    if key == "packs":
        _check_rules(fields.get("rules", ()), f"{path}rules")
    if key == "customer_policies":
        check_policy(CustomerPolicy(fields["customer_id"], fields["policies"]), f"{path}policies.")


_ACTIONS: Final = {
    "static_policies": ACTIONS,
    "overrides": ACTIONS,
    "dlp": ACTION_TIERS,
    "dlp_settings": ACTION_TIERS,
}
"""The actions of the policies that have a placement, by section."""


def _check_pattern(pattern: str) -> None:
    try:
        CompiledPattern(pattern)
    except InvalidPattern as error:
        raise InvalidPattern.of(Violation("pattern", error.violations[0].reason)) from None


def _placed(fields: Fields) -> Placed:
    """Returns an override with the placement of an entry."""
    given = {name: fields[name] for name in PLACEMENT_FIELDS if name in fields}
    return StaticOverride("", "", **given)


def _check_rules(rules: Sequence[Fields], path: str) -> None:
    errors: list[InvalidArgument] = []
    for index, rule in enumerate(rules):
        try:
            check_rule(
                rule.get("conditions", {}),
                rule["action"],
                rule.get("redaction", ""),
                f"{path}[{index}].",
            )
        except InvalidArgument as error:
            errors.append(error)
    if errors:
        raise InvalidArgument.merged(errors)
