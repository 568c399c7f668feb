"""A long list over HTTP: written part by part, and never mistaken for a whole one if it fails."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from pdp._gen.pdp.v1 import static_policy_pb2 as pb
from pdp.admin.pages import Page, PageRequest
from pdp.errors import StoreUnavailable
from pdp.transport.call import Call
from pdp.transport.http.json_forms import REST
from pdp.transport.http.list_response import ListResponse
from pdp.transport.methods import methods
from pdp.transport.paging import answer_list

if TYPE_CHECKING:
    from pdp.transport.call import TransportName

METHOD = next(each for each in methods() if each.name == "ListStaticPolicyVersions")


class Versions:
    """A history of versions from 1 up to `count`.

    Attributes:
        reads: the pages that were read.
        failing_at: the first version that cannot be read.
    """

    def __init__(self, count: int, failing_at: int = 1_000_000) -> None:
        self.count = count
        self.failing_at = failing_at
        self.reads: list[PageRequest] = []

    async def read(self, request: PageRequest) -> Page[int]:
        self.reads.append(request)
        start = int(request.token or 0)
        items = range(start + 1, min(start + request.size, self.count) + 1)
        if items and items[-1] >= self.failing_at:
            raise StoreUnavailable("gone")
        last = items[-1] if items else start
        return Page(items, str(last) if last < self.count else "", self.count)

    async def answer(
        self, call: Call, most: int | None = None
    ) -> pb.ListStaticPolicyVersionsResponse:
        return await answer_list(
            call,
            pb.ListStaticPolicyVersionsRequest(id="p"),
            "versions",
            read=self.read,
            build=lambda page: pb.ListStaticPolicyVersionsResponse(
                policy_id="p",
                versions=[pb.StaticPolicyVersion(version=each) for each in page.items],
                current_version=self.count,
            ),
            chunk=10,
            most=most,
        )


def call(transport: TransportName = "http") -> Call:
    return Call(METHOD, {}, transport, target="/list?a=b%20c&page_token=9")


async def send(
    versions: Versions, body: str = "", *, gone: bool = False, head: bool = False
) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    disconnect = asyncio.Event()
    if gone:
        disconnect.set()

    async def receive() -> dict[str, Any]:
        await disconnect.wait()
        return {"type": "http.disconnect"}

    async def collect(message: Any) -> None:
        messages.append(message)
        await asyncio.sleep(0)

    http = call()
    first = await versions.answer(http)
    assert http.list_field == "versions"
    await ListResponse(http, first, 200, body, receive, REST).send(collect, head=head)
    return messages


def text(messages: list[dict[str, Any]]) -> bytes:
    return b"".join(message.get("body", b"") for message in messages)


def complete(messages: list[dict[str, Any]]) -> bool:
    return not messages[-1].get("more_body", False)


@pytest.mark.parametrize("count", [11, 20, 21, 57])
async def test_the_whole_object_is_written(count: int) -> None:
    messages = await send(Versions(count))
    value = json.loads(text(messages))
    assert list(value) == ["policy_id", "versions", "current_version"]
    assert [each["version"] for each in value["versions"]] == list(range(1, count + 1))
    assert complete(messages)


async def test_the_whole_array_is_written() -> None:
    messages = await send(Versions(35), "versions")
    assert [each["version"] for each in json.loads(text(messages))] == list(range(1, 36))


async def test_the_head_has_no_body_and_reads_one_page() -> None:
    versions = Versions(35)
    messages = await send(versions, head=True)
    assert text(messages) == b""
    assert len(versions.reads) == 1


async def test_a_list_that_cannot_be_read_to_its_end_is_not_completed() -> None:
    messages = await send(Versions(50, failing_at=25))
    assert not complete(messages)
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(text(messages))


async def test_nothing_more_is_read_for_a_client_that_is_gone() -> None:
    versions = Versions(1000)
    assert not complete(await send(versions, gone=True))
    assert len(versions.reads) <= 3


async def test_other_transports_get_one_message() -> None:
    grpc = call("grpc")
    answer = await Versions(35).answer(grpc)
    assert [each.version for each in answer.versions] == list(range(1, 36))
    assert not grpc.list_field
    assert grpc.reply["x-total-count"] == "35"


@pytest.mark.parametrize(("most", "count"), [(35, 35), (34, 34), (10, 10), (25, 25)])
async def test_a_whole_list_may_be_bounded(most: int, count: int) -> None:
    answer = await Versions(35).answer(call("grpc"), most)
    assert len(answer.versions) == count


async def test_only_the_first_page_is_counted() -> None:
    versions = Versions(35)
    await versions.answer(call("grpc"))
    assert [each.counted for each in versions.reads] == [True, False, False, False]


async def test_links_keep_the_other_parameters() -> None:
    http = call()
    await Versions(3).answer(http)
    assert http.reply["link"] == '</list?a=b+c&page_size=50>; rel="first"'
