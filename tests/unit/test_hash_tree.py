"""The tree of hashes of a batch: a node can replace the leaves below it."""

from __future__ import annotations

import hashlib
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.store.hash_tree import EMPTY_ROOT, Tree, root_of

LEAVES: Final = [hashlib.sha256(b"%d" % number).digest() for number in range(300)]


def tree_of(count: int, positions: list[int]) -> Tree:
    tree = Tree(count)
    for position in positions:
        tree.add(0, position, LEAVES[position])
    return tree


class TestRoot:
    @pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 7, 8, 9, 255, 256, 257])
    def test_a_tree_that_grows_has_the_same_root(self, count: int) -> None:
        assert tree_of(count, list(range(count))).root == root_of(LEAVES[:count])

    def test_every_leaf_and_its_place_matter(self) -> None:
        roots = {root_of(LEAVES[:count]) for count in range(20)}
        assert (len(roots), EMPTY_ROOT in roots) == (20, True)
        assert root_of([LEAVES[1], LEAVES[0]]) != root_of(LEAVES[:2])

    @pytest.mark.parametrize("missing", range(5))
    def test_a_tree_without_a_leaf_has_no_root(self, missing: int) -> None:
        assert tree_of(5, [each for each in range(5) if each != missing]).root is None


class TestNodes:
    def test_siblings_are_replaced_by_their_parent(self) -> None:
        tree = tree_of(256, [each for each in range(256) if each != 100])
        assert len(tree.nodes) == 8
        assert sum(tree.leaves_below(level, place) for level, place, _ in tree.nodes) == 255

    @given(st.integers(1, 70), st.data())
    def test_nodes_and_leaves_have_the_same_root_as_the_leaves(
        self, count: int, data: st.DataObject
    ) -> None:
        removed = data.draw(st.sets(st.integers(0, count - 1)))
        nodes = [
            (node.position << node.level, node) for node in tree_of(count, sorted(removed)).nodes
        ]
        assert sum(Tree(count).leaves_below(*node[:2]) for _, node in nodes) == len(removed)
        leaves = [
            (place, (0, place, LEAVES[place])) for place in range(count) if place not in removed
        ]
        whole = Tree(count)
        for _, node in sorted([*nodes, *leaves]):
            whole.add(*node)
        assert whole.root == root_of(LEAVES[:count])
