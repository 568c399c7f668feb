"""A binary tree over the hashes of the records of a batch.

The leaves are the hashes of the records in their order. A node hashes its two children. The last
node of a level with an odd number of nodes has no sibling: it is also a node of the next level.

If all records below a node are removed, the hash of the node can replace theirs. A batch of n
records of which one remains therefore needs about log2(n) hashes, and not n - 1.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

EMPTY_ROOT: Final = bytes(32)
"""The root of a tree without leaves."""

_NODE: Final = b"\1"
"""Precedes the children of a node. A record is JSON and never begins with it."""


class TreeNode(NamedTuple):
    """A node of a tree.

    Attributes:
        level: 0 for a leaf.
        position: its position in the level.
        hash: its hash.
    """

    level: int
    position: int
    hash: bytes


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Returns the root of the tree with these leaves."""
    level = list(leaves)
    sha256 = hashlib.sha256
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        parents = [sha256(_NODE + left + right).digest() for left, right in pairs]
        level = [*parents, level[-1]] if len(level) % 2 else parents
    return level[0] if level else EMPTY_ROOT


class Tree:
    """Replaces siblings by their parents, as far as the hashes are known."""

    def __init__(self, leaves: int) -> None:
        """Args:
        leaves: the number of leaves of the whole tree.
        """
        self._leaves = leaves
        self.nodes: list[TreeNode] = []
        """The known nodes without siblings, in the order of their leaves."""

    def add(self, level: int, index: int, hash_: bytes) -> None:
        """Adds a node. Nodes must be added in the order of their leaves."""
        while self._width(level) > 1:
            if index % 2:
                if not self.nodes or self.nodes[-1][:2] != (level, index - 1):
                    break
                hash_ = hashlib.sha256(_NODE + self.nodes.pop().hash + hash_).digest()
            elif index + 1 < self._width(level):
                break
            level, index = level + 1, index // 2
        self.nodes.append(TreeNode(level, index, hash_))

    @property
    def root(self) -> bytes | None:
        """The root; None if it is not known."""
        if not self._leaves:
            return EMPTY_ROOT
        if len(self.nodes) != 1:
            return None
        [(level, index, hash_)] = self.nodes
        return hash_ if index == 0 and self._width(level) == 1 else None

    def leaves_below(self, level: int, index: int) -> int:
        """Returns how many leaves a node has."""
        return max(0, min(self._leaves, (index + 1) << level) - (index << level))

    def _width(self, level: int) -> int:
        """Returns the number of nodes of a level."""
        return -(-self._leaves >> level) if self._leaves > 0 else 0
