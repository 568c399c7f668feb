"""All texts of a request that are scanned: each string, number and key, in all its readings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pdp.engine.text.json_tree import STRING, ArrayTree, Leaf, Tree, tree_in, tree_of
from pdp.engine.text.locations import Segment
from pdp.engine.text.normalization import normalize
from pdp.engine.text.structure import joined_texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MAX_NESTED: Final = 4
"""JSON in a string, in the JSON of a string, and so on, is read to this depth."""

_PLAIN_KEY: Final = re.compile(r"[A-Za-z_$@][A-Za-z_.$-]{0,30}+\d{0,4}+")
"""Most keys. They hold neither a value nor code, and are scanned as labels of their values."""


def readings(text: str, arguments: Mapping[str, Any] | None) -> Iterator[Segment]:
    """Yields what is scanned of a request.

    Args:
        text: the request's text; empty if it has none.
        arguments: its arguments.
    """
    if text:
        yield from _string(Segment(None, text, text.encode()), 0)
    if arguments:
        yield from _tree(tree_of(arguments), 0)


def _string(segment: Segment, depth: int) -> Sequence[Segment] | Iterator[Segment]:
    """Returns the readings of a string: of itself, and of the JSON in it."""
    tree = tree_in(segment) if depth < MAX_NESTED else None
    if tree is None:
        return normalize(segment)
    return _with_tree(segment, tree, depth)


def _with_tree(segment: Segment, tree: Tree, depth: int) -> Iterator[Segment]:
    yield from normalize(segment, decodes=False)
    yield from _tree(tree, depth + 1)


def _tree(tree: Tree, depth: int) -> Iterator[Segment]:
    yield from _parts(tree, depth)
    for joined in joined_texts(tree):
        yield from normalize(joined)


def _parts(tree: Tree, depth: int) -> Iterator[Segment]:
    """Yields the readings of the leaves and keys of a tree."""
    if isinstance(tree, Leaf):
        if tree.kind == STRING:
            if tree.segment.text:
                yield from _string(tree.segment, depth)
        else:
            yield tree.segment
    elif isinstance(tree, ArrayTree):
        for item in tree.items:
            yield from _parts(item, depth)
    else:
        for key, value in tree.members:
            if _PLAIN_KEY.fullmatch(key.text) is None and key.text:
                yield from normalize(key)
            yield from _parts(value, depth)
