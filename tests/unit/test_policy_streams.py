"""Streams of policies share what they read, and end when the server drains."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from pdp._gen.pdp.v1 import policy_pb2 as pb
from pdp.admin.policy_feed import FeedIdentity
from pdp.domain.followed_policies import FollowedPolicy, PolicyUpdate
from pdp.transport.servicers.policy import PolicyServicer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

POLICY = FollowedPolicy(platform=True, kind="static_policy", id="p", revision=7, body={})


class Feed:
    """A feed that answers when a test lets it.

    Attributes:
        asked: set when it has been asked `readings` times.
    """

    def __init__(self, readings: int) -> None:
        self._readings = readings
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.reads: list[tuple[str, int]] = []

    async def identity(self) -> FeedIdentity:
        return FeedIdentity("i", bytes(32))

    async def since(self, tenant_id: str, installation: str, revision: int) -> PolicyUpdate:
        self.reads.append((tenant_id, revision))
        if len(self.reads) == self._readings:
            self.asked.set()
        await self.may_answer.wait()
        return PolicyUpdate("i", tenant_id, 0, 7, [POLICY])


class Policies:
    """Policies that never change."""

    revision = 7

    async def reach(self, revision: int, timeout_s: float) -> bool:
        await asyncio.Event().wait()
        return False


async def stream_of(servicer: PolicyServicer, tenant_id: str) -> AsyncIterator[pb.WatchResponse]:
    class Call:
        stream: Any = None

    call: Any = Call()
    call.tenant_id = tenant_id
    await servicer.watch(call, pb.WatchRequest())
    return cast("AsyncIterator[pb.WatchResponse]", call.stream)


async def test_followers_that_ask_for_the_same_share_one_reading() -> None:
    feed: Any = Feed(readings=2)
    policies: Any = Policies()
    servicer = PolicyServicer(feed, policies, dict)
    streams = [await stream_of(servicer, tenant) for tenant in ("acme", "acme", "other")]
    firsts = [asyncio.ensure_future(anext(stream)) for stream in streams]
    await feed.asked.wait()
    feed.may_answer.set()
    one, two, other = await asyncio.gather(*firsts)
    assert sorted(feed.reads) == [("acme", 0), ("other", 0)]
    assert one == two != other
    rests = [asyncio.ensure_future(anext(stream, None)) for stream in streams]
    servicer.end_streams()
    assert await asyncio.gather(*rests) == [None, None, None]
    assert servicer.streams == 0


async def test_a_follower_that_leaves_does_not_end_the_reading_of_others() -> None:
    feed: Any = Feed(readings=1)
    policies: Any = Policies()
    servicer = PolicyServicer(feed, policies, dict)
    streams = [await stream_of(servicer, "acme") for _ in range(2)]
    gone, stays = (asyncio.ensure_future(anext(stream)) for stream in streams)
    await feed.asked.wait()
    gone.cancel()
    feed.may_answer.set()
    assert pb.PolicyUpdate.FromString((await stays).update).tenant_id == "acme"
    assert gone.cancelled()
