"""A table of a tenant that is laid over the table that all tenants share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Generic, TypeVar

V = TypeVar("V")


class Overlay(Mapping[str, V], Generic[V]):
    """The entries of `own`, and those of `shared` whose key is not in `own`. Immutable.

    Attributes:
        own: the tenant's entries.
        shared: the entries that all tenants share.
    """

    __slots__ = ("own", "shared")

    def __init__(self, own: Mapping[str, V], shared: Mapping[str, V]) -> None:
        self.own = own
        self.shared = shared

    def __getitem__(self, key: str) -> V:
        """Returns the entry of a key.

        Raises:
            KeyError: there is none.
        """
        own = self.own
        return own[key] if key in own else self.shared[key]

    def __contains__(self, key: object) -> bool:
        """Returns whether there is an entry."""
        return key in self.own or key in self.shared

    def __iter__(self) -> Iterator[str]:
        """Yields the keys, the tenant's first."""
        return chain(self.own, (key for key in self.shared if key not in self.own))

    def __len__(self) -> int:
        """The number of entries."""
        return len(self.own) + sum(key not in self.own for key in self.shared)
