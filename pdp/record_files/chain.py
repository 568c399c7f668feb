"""The hashes of batches of the chain, computed from what an export has of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdp.store.hash_chain import Batch, digest, digest_of_root
from pdp.store.hash_tree import Tree

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pdp.store.chain_port import ChainedBatch

NodeHash = tuple[int, int, bytes]
"""The position of the first record below a node, its level, its hash."""


def head_text(batch: Batch) -> str:
    """Returns what identifies a batch and all before it, as `pdp audit verify` prints it."""
    return f"{batch.sequence}:{batch.hash.hex()}"


def batch_hash(chained: ChainedBatch, key: bytes) -> bytes | None:
    """Returns the hash that a batch must have; None if what is left of it does not say.

    That is so for batches of version 1, which older releases wrote, if records of them are removed.
    """
    batch = chained.batch
    if batch.version == 1:
        is_whole = len(chained.records) == batch.records and not batch.converted
        return digest(batch, (each.body for each in chained.records), key) if is_whole else None
    leaves = ((each.sequence, 0, each.hash) for each in chained.records)
    return tree_hash(batch, [*leaves, *chained.removed], key)


def tree_hash(batch: Batch, nodes: Iterable[NodeHash], key: bytes) -> bytes:
    """Returns the hash of a batch of version 2; empty if the nodes are not its whole tree."""
    tree = Tree(batch.records)
    for sequence, level, hash_ in sorted(nodes):
        tree.add(level, (sequence - batch.first_record) >> level, hash_)
    root = tree.root
    return b"" if root is None else digest_of_root(batch, root, key)
