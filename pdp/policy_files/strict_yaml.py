"""A strict form of YAML for cases and policy files: JSON values, and a short form of long texts.

- Dates stay texts.
- A duplicate key is refused.
- `!repeat [text, times]` repeats a text; an optional third part is appended.
"""

from __future__ import annotations

from typing import Any, Final

import yaml

MAX_REPEATED: Final = 16 << 20
"""Characters of the result of one `!repeat`."""

_TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"


class _Loader(yaml.SafeLoader):
    """Requires that the keys of a mapping are texts and unique."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node)
            if not isinstance(key, str):
                raise _error(key_node, f"the key {key!r} is not a text; put it in quotes")
            if key in keys:
                raise _error(key_node, f'the key "{key}" occurs twice')
            keys.add(key)
        return super().construct_mapping(node, deep=deep)

    def construct_repeated(self, node: yaml.Node) -> str:
        parts = self.construct_sequence(node) if isinstance(node, yaml.SequenceNode) else None
        match parts:
            case [str(text), int(times)]:
                suffix = ""
            case [str(text), int(times), str(suffix)]:
                pass
            case _:
                raise _error(node, "write !repeat [text, times] or !repeat [text, times, suffix]")
        if not 0 <= len(text) * times <= MAX_REPEATED:
            raise _error(node, f"a repeated text has at most {MAX_REPEATED} characters")
        return text * times + suffix


def _error(node: yaml.Node, problem: str) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


_Loader.add_constructor("!repeat", _Loader.construct_repeated)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def describe(error: yaml.YAMLError) -> str:
    """Returns the position and the problem of a YAML error, in one line."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return "it has a character that YAML does not allow"
    mark = error.problem_mark
    return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"


def parse(source: str) -> Any:
    """Returns the value of a YAML text.

    Raises:
        yaml.YAMLError: the text is not YAML, or not of the strict form; the error has the position.
    """
    return yaml.load(source, _Loader)  # noqa: S506 - a safe loader


def construct(node: yaml.Node) -> Any:
    """Returns the value of a node of a YAML text.

    Raises:
        yaml.YAMLError: it is not of the strict form.
    """
    loader = _Loader("")
    try:
        return loader.construct_document(_resolved(node))
    finally:
        loader.dispose()


def _resolved(node: yaml.Node) -> yaml.Node:
    """Returns a node in which dates are texts."""
    if node.tag == _TIMESTAMP:
        node.tag = "tag:yaml.org,2002:str"
    return node
