"""An index of action patterns: the time of a lookup does not depend on their number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ANY: Final = "*"
"""Matches exactly one whole segment."""


def patterns_of(action: str) -> Iterator[str]:
    """Yields all patterns that match an action; none if it is not `domain:scope:verb`."""
    parts = action.split(":")
    if len(parts) == 3:  # noqa: PLR2004 - domain:scope:verb
        domain, scope, verb = parts
        for first in (domain, ANY):
            for second in (scope, ANY):
                yield f"{first}:{second}:{verb}"
                yield f"{first}:{second}:{ANY}"


_Tree = dict[str, dict[str, dict[str, str]]]


class ActionPatterns:
    """Patterns of `domain:scope:verb` actions. Immutable.

    A tree of dicts with one level for each segment. At most fourteen lookups find the pattern of
    an action, however many patterns exist.
    """

    __slots__ = ("_tree",)

    def __init__(self, patterns: Iterable[str]) -> None:
        """Indexes `patterns`, which must be well-formed."""
        tree: _Tree = {}
        for pattern in patterns:
            domain, scope, verb = pattern.split(":")
            tree.setdefault(domain, {}).setdefault(scope, {})[verb] = pattern
        self._tree = tree

    def __bool__(self) -> bool:
        """Returns whether the index has any pattern."""
        return bool(self._tree)

    def find(self, action: str) -> str | None:
        """Returns the pattern that matches `action`; None if no pattern does.

        If several match, a literal segment wins over `*`; the leftmost segment decides first.
        """
        domain, scope, verb = action.split(":")
        tree = self._tree
        for scopes in (tree.get(domain), tree.get(ANY)):
            if scopes is None:
                continue
            for verbs in (scopes.get(scope), scopes.get(ANY)):
                if verbs is None:
                    continue
                pattern = verbs.get(verb) or verbs.get(ANY)
                if pattern is not None:
                    return pattern
        return None
