"""YAML as cases use it: plain JSON values, strictly read, and a way to write long texts.

Dates stay texts, a key that stands twice is refused, and `!repeat [text, times]` is that text so
many times over, with an optional third part behind it.
"""

from __future__ import annotations

from typing import Any, Final

import yaml

MAX_REPEATED: Final = 16 << 20
"""Characters of one `!repeat`."""

_TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"


class _Loader(yaml.SafeLoader):
    """Reads mappings with unique keys that are texts."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node)
            if not isinstance(key, str):
                raise _error(key_node, f"the key {key!r} is not a text; put it in quotes")
            if key in seen:
                raise _error(key_node, f'the key "{key}" stands twice')
            seen.add(key)
        return super().construct_mapping(node, deep=deep)

    def construct_repeated(self, node: yaml.Node) -> str:
        parts = self.construct_sequence(node) if isinstance(node, yaml.SequenceNode) else None
        match parts:
            case [str(text), int(times)]:
                behind = ""
            case [str(text), int(times), str(behind)]:
                pass
            case _:
                raise _error(node, "write !repeat [text, times] or !repeat [text, times, behind]")
        if not 0 <= len(text) * times <= MAX_REPEATED:
            raise _error(node, f"a repeated text has at most {MAX_REPEATED} characters")
        return text * times + behind


def _error(node: yaml.Node, problem: str) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


_Loader.add_constructor("!repeat", _Loader.construct_repeated)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse(source: str) -> Any:
    """Returns the value that `source` holds.

    Raises:
        yaml.YAMLError: it is not YAML, or more than cases use; it says where.

    """
    return yaml.load(source, _Loader)  # noqa: S506 - a safe loader
