"""Action patterns, indexed by their segments: a lookup, however many there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

ANY: Final = "*"
"""Stands for exactly one whole segment."""

_Tree = dict[str, dict[str, dict[str, str]]]


class ActionPatterns:
    """Patterns of `domain:scope:verb` actions. Immutable.

    A tree of dicts, a level for each segment, so that at most fourteen lookups find the pattern of
    an action among any number.
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
        """Whether there is any pattern."""
        return bool(self._tree)

    def find(self, action: str) -> str | None:
        """Returns a pattern that `action` fits; None where there is none.

        Of several it is the one whose segments are spelt out first, from the left.
        """
        domain, scope, verb = action.split(":")
        tree = self._tree
        for scopes in (tree.get(domain), tree.get(ANY)):
            if scopes is None:
                continue
            for verbs in (scopes.get(scope), scopes.get(ANY)):
                if verbs is None:
                    continue
                found = verbs.get(verb) or verbs.get(ANY)
                if found is not None:
                    return found
        return None
