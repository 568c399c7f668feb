"""Reads a YAML text with its comments, each at the pair or item that it is about."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import yaml

from pdp.policy_files.strict_yaml import construct
from pdp.policy_files.yaml_text import Item, Items

if TYPE_CHECKING:
    from collections.abc import Iterator

_COMMENT: Final = re.compile(r"#[ \t]?([^\n]*)")
_BLOCK_HEAD: Final = re.compile(r"[|>][-+0-9]*[ \t]+#[ \t]?([^\n]*)")


class _Comment(NamedTuple):
    line: int
    text: str
    alone: bool


@dataclass(slots=True)
class _Place:
    """An item, its first line, and the item of the outermost flow collection that it is in."""

    line: int
    item: Item
    flow_root: _Place | None


class CommentedText(NamedTuple):
    """A text as items.

    Attributes:
        top: the mapping.
        below: the comments after the last item.
    """

    top: Items
    below: list[str]


def read_commented(source: str) -> CommentedText:
    """Returns a YAML mapping with its comments.

    Raises:
        yaml.YAMLError: the text is not YAML, or not a mapping in the strict form.
    """
    node = yaml.compose(source, yaml.SafeLoader)
    if not isinstance(node, yaml.MappingNode):
        raise yaml.YAMLError("must be a mapping")
    reader = _CommentReader(source)
    top = reader.items(node, None)
    assert isinstance(top, Items), "a mapping has pairs"  # noqa: S101 - for the type checker
    return CommentedText(top, reader.attach_comments())


class _CommentReader:
    """Reads the items of one text, and then its comments."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", source))]
        self._places: list[_Place] = []

    def items(self, node: yaml.Node, flow_root: _Place | None) -> Any:
        """Returns a node as `Items` or a scalar; notes the places of its items."""
        if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
            pairs = [
                self._item(Item(None, key.value), key, value, _root(node, flow_root))
                for key, value in node.value
            ]
            return Items(pairs, is_mapping=True)
        if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
            items = [
                self._item(Item(None), each, each, _root(node, flow_root)) for each in node.value
            ]
            return Items(items, is_mapping=False)
        return construct(node)

    def _item(
        self, item: Item, begin: yaml.Node, node: yaml.Node, flow_root: _Place | None
    ) -> Item:
        place = _Place(begin.start_mark.line, item, flow_root)
        self._places.append(place)
        item.value = self.items(node, flow_root or place)
        if node.tag.startswith("!"):
            item.source = self._source[node.start_mark.index : node.end_mark.index]
        return item

    def attach_comments(self) -> list[str]:
        """Adds each comment to the item that it is about; returns those after the last item."""
        lines = [place.line for place in self._places]
        below: list[str] = []
        for comment in self._comments():
            after = bisect_right(lines, comment.line)
            last = self._places[after - 1] if after else None
            if last is not None and last.line == comment.line and not comment.alone:
                _add_beside(comment.text, last)
            elif after < len(self._places):
                self._places[after].item.above.append(comment.text)
            else:
                below.append(comment.text)
        return below

    def _comments(self) -> Iterator[_Comment]:
        """Yields the comments: what is between the tokens, and behind the mark of a block."""
        end = 0
        for token in yaml.scan(self._source, yaml.SafeLoader):
            start = token.start_mark.index
            yield from self._between(end, start)
            if isinstance(token, yaml.ScalarToken) and token.style in {"|", ">"}:
                head = _BLOCK_HEAD.match(self._source, start)
                if head:
                    yield _Comment(token.start_mark.line, head[1].rstrip(), alone=False)
            end = max(end, token.end_mark.index)
        yield from self._between(end, len(self._source))

    def _between(self, begin: int, end: int) -> Iterator[_Comment]:
        for match in _COMMENT.finditer(self._source, begin, end):
            line = bisect_right(self._line_starts, match.start()) - 1
            before = self._source[self._line_starts[line] : match.start()]
            yield _Comment(line, match[1].rstrip(), alone=not before.strip())


def _root(node: yaml.CollectionNode, flow_root: _Place | None) -> _Place | None:
    """Returns the outermost item on one line that the items of a collection are in, if any."""
    return flow_root if node.flow_style else None


def _add_beside(text: str, last: _Place) -> None:
    root = last.flow_root
    item = root.item if root is not None and root.line == last.line else last.item
    if isinstance(item.value, Items) or item.beside:
        item.above.append(text)
    else:
        item.beside = text
