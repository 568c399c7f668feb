"""The text of a policy file: YAML with the tenant and the policies by section.

# yaml-language-server: $schema=...
tenant: acme
policies:
  static_policies:
    - name: No rivals
      category: custom
      pattern: rival
      action: block
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from pdp.domain.tenant import is_tenant_id
from pdp.errors import InvalidArgument, Violation
from pdp.jsonpb.fields import STRUCT, bare_list, is_map, json_fields
from pdp.policy_files.comments import read_commented
from pdp.policy_files.shape import FORMAT, SECTIONS
from pdp.policy_files.strict_yaml import describe, parse
from pdp.policy_files.yaml_text import Item, Items, items_of, write

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_FILE_BYTES: Final = 32 << 20

HEAD_KEYS: Final = ("format", "tenant", "policies")
SUITE_KEYS: Final = ("suite", "description", "policies_file", "cases")
"""The further keys of a file of decision cases, which is a policy file with cases."""

SCHEMA_FILE: Final = "pdp-policies.schema.json"
"""The file with the schema, beside the policy files; `pdp policies schema` writes it."""
_SCHEMA_COMMENT: Final = "yaml-language-server: $schema="
_ORDER: Final = (*HEAD_KEYS[:2], *SUITE_KEYS[:3], HEAD_KEYS[2], SUITE_KEYS[3])
_STEP: Final = re.compile(r"\[(\d+)\]|\.?([^.\[\]]+)")


@dataclass(frozen=True, slots=True)
class PolicyText:
    """What a policy file says.

    Attributes:
        tenant: the tenant that the file names; empty for none.
        policies: the policies by section, as JSON values.
        is_suite: whether the file has decision cases.
        root: the nodes of the text, for the places of errors.
    """

    tenant: str
    policies: Mapping[str, Any]
    is_suite: bool
    root: yaml.Node | None = None

    def line_of(self, path: str) -> int:
        """Returns the line of the value at a path such as `policies.dlp[3].name`, from 1.

        If there is no such value, it is the line of the last part of the path that exists.
        """
        return line_of(self.root, path)


def line_of(node: Any, path: str) -> int:
    """Returns the line of a path in the nodes of a text; see `PolicyText.line_of`."""
    line = node.start_mark.line + 1 if node is not None else 1
    for index, key in _STEP.findall(path):
        child = None
        if index and isinstance(node, yaml.SequenceNode) and int(index) < len(node.value):
            child = node.value[int(index)]
            line = child.start_mark.line + 1
        elif key and isinstance(node, yaml.MappingNode):
            for name, value in node.value:
                if name.value == key:
                    child, line = value, name.start_mark.line + 1
        if child is None:
            # A section with one entry may be a list of it.
            return line
        node = child
    return line


def read_text(raw: bytes) -> PolicyText:
    """Returns what a file says.

    Raises:
        InvalidArgument: the file is too large, is not YAML, or is not a policy file.
    """
    document, root = parse_bytes(raw)
    violations = list(_head_violations(document))
    if violations:
        raise InvalidArgument.of(*violations)
    return PolicyText(
        document.get("tenant", ""), document.get("policies") or {}, "cases" in document, root
    )


def parse_bytes(raw: bytes) -> tuple[dict[str, Any], yaml.Node]:
    """Returns the mapping in a YAML file, and its nodes.

    Raises:
        InvalidArgument: the file is too large, is not YAML, has aliases, or is not a mapping.
    """
    if len(raw) > MAX_FILE_BYTES:
        raise InvalidArgument.of(Violation("FILE", f"is larger than {MAX_FILE_BYTES} bytes"))
    try:
        text = raw.decode("utf-8-sig")
        # A few lines of aliases can expand to more than fits into memory.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, _Loader)):
            raise InvalidArgument.of(Violation("FILE", "must have no YAML aliases"))
        document, root = parse(text), yaml.compose(text, _Loader)
    except (UnicodeDecodeError, RecursionError):
        reason = "is not YAML: it is not UTF-8 text, or nested too deeply"
        raise InvalidArgument.of(Violation("FILE", reason)) from None
    except yaml.YAMLError as error:
        raise InvalidArgument.of(Violation("FILE", f"is not YAML: {describe(error)}")) from None
    if not isinstance(document, dict) or root is None:
        raise InvalidArgument.of(Violation("FILE", "must be a mapping"))
    return document, root


_Loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


def _head_violations(document: Mapping[str, Any]) -> Iterator[Violation]:
    known = (*HEAD_KEYS, *SUITE_KEYS)
    for name in document:
        if name not in known:
            yield Violation(name, f"is unknown; a policy file has {', '.join(HEAD_KEYS)}")
    if document.get("format", FORMAT) != FORMAT:
        yield Violation("format", f"must be {FORMAT}")
    tenant = document.get("tenant", "tenant")
    if not (isinstance(tenant, str) and is_tenant_id(tenant)):
        yield Violation("tenant", "must be 1 to 128 characters of A-Z a-z 0-9 . _ -")
    if not isinstance(document.get("policies") or {}, dict):
        yield Violation("policies", "must be a mapping of sections")
    elif "policies" not in document and "cases" not in document:
        yield Violation("policies", "is required")


def write_text(policies: Mapping[str, Any], tenant: str = "") -> str:
    """Returns the text of a policy file.

    Args:
        policies: the policies by section.
        tenant: the tenant to name; empty for none.
    """
    document: dict[str, Any] = {"tenant": tenant} if tenant else {}
    top = items_of({**document, "policies": dict(policies)})
    return _write(top, [])


def format_text(raw: bytes) -> str:
    """Returns the text of a policy file in its normal form, with all comments.

    Sections and fields are in the order of the contracts, entries stay in their order.

    Raises:
        InvalidArgument: the file is not a policy file.
    """
    read_text(raw)
    text = read_commented(raw.decode("utf-8-sig"))
    return _write(text.top, text.below)


def _write(top: Items, below: list[str]) -> str:
    schema = f"{_SCHEMA_COMMENT}{SCHEMA_FILE}"
    if top.items:
        above = top.items[0].above
        own = [each for each in above if each.startswith(_SCHEMA_COMMENT)]
        schema = own[0] if own else schema
        top.items[0].above = [each for each in above if each not in own]
    for item in top.items:
        if item.key == "policies" and isinstance(item.value, Items):
            item.value = _ordered_sections(item.value)
    top = Items(_sorted(top.items, _ORDER), is_mapping=True)
    body = write(top, spaced=("policies",))
    return f"# {schema}\n{body}" + "".join(f"# {each}".rstrip() + "\n" for each in below)


def _sorted(items: list[Item], order: Any) -> list[Item]:
    places = {name: place for place, name in enumerate(order)}
    return sorted(items, key=lambda item: places.get(item.key, len(places)))


def _ordered_sections(sections: Items) -> Items:
    for item in sections.items:
        section = SECTIONS.get(item.key or "")
        if section is None:
            continue
        fields = {section.aliases.get(name, name): name for name in section.file_fields()}
        entries = item.value
        if isinstance(entries, Items):
            many = [entries] if entries.is_mapping else [each.value for each in entries.items]
            for entry in many:
                _order_message(entry, section.descriptor, fields)
    return Items(_sorted(sections.items, SECTIONS), is_mapping=True)


def _order_message(value: Any, descriptor: Any, names: Mapping[str, str] | None = None) -> None:
    """Puts the fields of a message in the order of its contract."""
    if not (isinstance(value, Items) and value.is_mapping):
        return
    fields = {field.name: field for field in json_fields(descriptor)}
    order = list(names.values()) if names else list(fields)
    value.items = _sorted(value.items, order)
    by_file_name = {(names or {}).get(name, name): field for name, field in fields.items()}
    for item in value.items:
        field = by_file_name.get(item.key or "")
        if field is None:
            continue
        field = bare_list(field) or field
        if field.message_type is None or is_map(field) or field.message_type.full_name == STRUCT:
            continue
        inner = item.value
        is_list = isinstance(inner, Items) and not inner.is_mapping
        for each in [each.value for each in inner.items] if is_list else [inner]:
            _order_message(each, field.message_type)
