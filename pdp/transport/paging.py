"""Answers with lists: a page if the caller asks for one, otherwise the whole list.

A whole list is read page by page. Over HTTP it is also written page by page, so that the memory
stays bounded. Each page is read from the store as it is then: an item that is not changed meanwhile
is in the answer exactly once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

from pdp.admin.pages import Page, PageRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from google.protobuf.message import Message

    from pdp.transport.call import Call

TOTAL_HEADER: Final = "x-total-count"
NEXT_FIELD: Final = "next_page_token"
NEXT_HEADER: Final = "x-next-page-token"
LINK_HEADER: Final = "link"

DEFAULT_PAGE_SIZE: Final = 50
"""The size of a page if the caller gives a token only."""

CHUNK: Final = 200
"""How many items of a whole list are read at once: in some 3 ms, so that decisions can run."""

T = TypeVar("T")
M = TypeVar("M", bound="Message")


async def answer_list(
    call: Call,
    request: Any,
    field: str,
    *,
    read: Callable[[PageRequest], Awaitable[Page[T]]],
    build: Callable[[Page[T]], M],
    chunk: int = CHUNK,
    most: int | None = None,
) -> M:
    """Returns the answer with a page, or with the whole list.

    Over HTTP, the rest of a long list becomes the stream of the call; see `Call.list_field`.

    Args:
        call: the call; its headers get the number of items, and links to pages.
        request: the request, with the fields `page_size` and `page_token`.
        field: the field of the answer that has the list.
        read: reads a page.
        build: makes an answer with the items of a page.
        chunk: how many items of a whole list are read at once.
        most: how many items a whole list has at most; None for all.

    Raises:
        InvalidArgument: the list has no such token.
    """
    if request.page_size or request.page_token:
        size = request.page_size or DEFAULT_PAGE_SIZE
        page = await read(PageRequest(size, request.page_token))
        _set_headers(call, page, size)
        answer = build(page)
        setattr(answer, NEXT_FIELD, page.next_token)
        return answer
    page = await read(PageRequest(chunk))
    total = page.total if most is None or page.total is None else min(page.total, most)
    _set_headers(call, Page(total=total), DEFAULT_PAGE_SIZE)
    answer = build(page)
    if page.next_token:
        left = None if most is None else most - len(page.items)
        rest = _rest(page.next_token, read, build, chunk, left)
        if call.transport == "http":
            call.list_field, call.stream = field, rest
        else:
            async for part in rest:
                getattr(answer, field).extend(getattr(part, field))
    return answer


async def _rest(
    token: str,
    read: Callable[[PageRequest], Awaitable[Page[T]]],
    build: Callable[[Page[T]], M],
    chunk: int,
    left: int | None,
) -> AsyncIterator[M]:
    while token and left != 0:
        size = chunk if left is None else min(chunk, left)
        page = await read(PageRequest(size, token, counted=False))
        token = page.next_token
        if left is not None:
            left -= len(page.items)
        if page.items:
            yield build(page)


def _set_headers(call: Call, page: Page[Any], size: int) -> None:
    if page.total is not None:
        call.reply[TOTAL_HEADER] = str(page.total)
    if page.next_token and call.transport != "http":
        call.reply[NEXT_HEADER] = page.next_token
    if call.target:
        links = [_link(call.target, size, page.next_token, "next")] if page.next_token else []
        call.reply[LINK_HEADER] = ", ".join([*links, _link(call.target, size, "", "first")])


def _link(target: str, size: int, token: str, relation: str) -> str:
    """Returns a link (RFC 8288) to a page of the list that the caller has asked for."""
    path, _, query = target.partition("?")
    parameters = [
        (name, value)
        for name, value in parse_qsl(query, keep_blank_values=True)
        if name not in {"page_size", "page_token", "pageSize", "pageToken"}
    ]
    parameters.append(("page_size", str(size)))
    if token:
        parameters.append(("page_token", token))
    return f'<{quote(path, safe="/%:@")}?{urlencode(parameters)}>; rel="{relation}"'
