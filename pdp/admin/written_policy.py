"""A policy as a write leaves it, for the checks that may warn of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from pdp.admin.known_names import KnownNames
from pdp.domain import policy_chain
from pdp.engine.layers.chain import ChainLayer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.domain.write_warning import WriteWarning
    from pdp.engine.rules.chains import ChainRule
    from pdp.engine.snapshot import Snapshot


class WrittenPolicy(NamedTuple):
    """A policy as a write leaves it.

    Attributes:
        kind: its kind.
        body: its fields as the store keeps them.
        prefix: put before the paths of its fields.
    """

    kind: str
    body: Mapping[str, Any]
    prefix: str = ""


class WriteContext:
    """The policies of a tenant after a write, and what the checks of all its policies share.

    Attributes:
        snapshot: the policies.
        comparisons: how many pairs of rules have been compared.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.comparisons = 0

    @cached_property
    def known_names(self) -> KnownNames:
        """The names that the policies can refer to."""
        return KnownNames(self.snapshot)

    @cached_property
    def packs_in_chains(self) -> frozenset[str]:
        """The IDs of the packs that a chain of the tenant names."""
        chains = self.snapshot.policies.of_kind(policy_chain.KIND).values()
        return frozenset(entry.pack_id for chain in chains for entry in chain.packs)

    @cached_property
    def ordered_rules(self) -> Sequence[ChainRule]:
        """The rules of the org's chain in order; none if the chain evaluates every rule."""
        chains = next(
            (each.chains for each in self.snapshot.layers if isinstance(each, ChainLayer)), None
        )
        if chains is None or chains.org is None or chains.org.deny_overrides:
            return ()
        return [chains.rules[bit] for bit in chains.org.bits()]

    @cached_property
    def places_of_rules(self) -> Mapping[str, int]:
        """The place of each rule in `ordered_rules`, by its ID."""
        return {each.rule.id: place for place, each in enumerate(self.ordered_rules)}


WriteCheck = Callable[[WriteContext, WrittenPolicy], Iterator["WriteWarning"]]
"""Yields the warnings about one policy, which the snapshot has if it is in force."""
