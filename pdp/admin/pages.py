"""Pages of lists and of version histories. A token says where the next page begins."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from pdp.errors import InvalidArgument, Violation
from pdp.store.port import NO_FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pdp.domain.stored_entity import Change, StoredEntity
    from pdp.store.port import Reader

T = TypeVar("T")

_TOKEN: Final = re.compile(r"([str])([0-9]{1,18})")

_SHIPPED: Final = "s"
"""The next item is that with this index among those that ship with the product."""

_OWN: Final = "t"
"""The next item is the tenant's first after this position."""

_HISTORY: Final = "r"
"""The next item is the newest change below this revision."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What a caller asks for.

    Attributes:
        size: how many items the page has at most.
        token: `Page.next_token` of the last page; empty for the first page.
        counted: whether to count the items of the whole list.
    """

    size: int
    token: str = ""
    counted: bool = True

    def place(self, letters: str) -> tuple[str, int] | None:
        """Returns the letter and the number of the token; None for the first page.

        Args:
            letters: the letters that tokens of this list begin with.

        Raises:
            InvalidArgument: this list has no such token.
        """
        if not self.token:
            return None
        match = _TOKEN.fullmatch(self.token)
        if match is None or match[1] not in letters:
            reason = "is no token of this list; use one that the list has returned"
            raise InvalidArgument.of(Violation("page_token", reason))
        return match[1], int(match[2])


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list.

    Attributes:
        items: the items, in the order of the list.
        next_token: where the next page begins; empty if this page is the last.
        total: how many items the whole list has; None if they were not counted.
    """

    items: Sequence[T] = field(default_factory=tuple)
    next_token: str = ""
    total: int | None = None


def list_page(
    reader: Reader,
    kind: str,
    tenant_id: str,
    request: PageRequest,
    *,
    shipped: Callable[[], Sequence[T]],
    own: Callable[[StoredEntity], T],
    matching: Mapping[str, str | bool] = NO_FIELDS,
) -> Page[T]:
    """Returns a page of the items that ship with the product, then of a tenant's own.

    Args:
        reader: a view of the store.
        kind: the kind of the tenant's entities.
        tenant_id: the tenant.
        request: the page.
        shipped: returns the matching items that ship with the product; called only if needed.
        own: converts an entity of the tenant.
        matching: see `Reader.page`.

    Raises:
        InvalidArgument: this list has no such token.
    """
    letter, number = request.place(_SHIPPED + _OWN) or (_SHIPPED, 0)
    first: Sequence[T] = shipped() if letter == _SHIPPED or request.counted else ()
    total = len(first) + reader.count(kind, tenant_id, matching) if request.counted else None
    items: list[T] = []
    after = number
    if letter == _SHIPPED:
        items += first[number : number + request.size]
        if number + request.size < len(first):
            return Page(items, f"{_SHIPPED}{number + request.size}", total)
        after = 0
    page = reader.page(
        kind, tenant_id, after=after, limit=request.size - len(items), matching=matching
    )
    items += map(own, page.entities)
    return Page(items, f"{_OWN}{page.last}" if page.more else "", total)


def version_page(
    reader: Reader, kind: str, owner: str, entity_id: str, request: PageRequest
) -> Page[Change]:
    """Returns a page of an entity's versions, newest first: of all changes but deletions.

    Raises:
        InvalidArgument: this list has no such token.
    """
    versions = reader.history(
        kind,
        owner,
        entity_id,
        before=revision_of(request),
        limit=request.size + 1,
        deletions=False,
    )
    items = versions[: request.size]
    token = revision_token(items[-1].revision) if len(versions) > request.size else ""
    if not request.counted:
        return Page(items, token)
    return Page(items, token, reader.count_changes(kind, owner, entity_id, deletions=False))


def revision_token(revision: int) -> str:
    """Returns the token of the page that begins below a revision."""
    return f"{_HISTORY}{revision}"


def revision_of(request: PageRequest) -> int | None:
    """Returns the revision below which a page of a history begins; None for the first page.

    Raises:
        InvalidArgument: this list has no such token.
    """
    place = request.place(_HISTORY)
    return place[1] if place else None
