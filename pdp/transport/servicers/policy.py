"""PolicyService: the policies of a tenant, for followers (docs/following.md)."""

from __future__ import annotations

import asyncio
import base64
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from pdp._gen.pdp.v1 import policy_pb2 as pb
from pdp.auth.signatures import Signer
from pdp.errors import RateLimited
from pdp.messages.policy_updates import signed_parts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from google.protobuf.message import Message

    from pdp.admin.policy_feed import FeedIdentity, PolicyFeed
    from pdp.decisions.decider import PolicySource
    from pdp.domain.followed_policies import PolicyUpdate
    from pdp.transport.call import Call, Endpoint

HEARTBEAT_S: Final = 5.0
"""How often a follower gets an update, even if nothing has changed."""

MAX_STREAMS: Final = 10_000
"""Streams of a server that are open at once."""


class _WantedUpdate(NamedTuple):
    """What a follower asks for: the policies of a tenant since a revision of an installation."""

    tenant_id: str
    installation: str
    revision: int


class _MadeUpdate(NamedTuple):
    """An update, when it was read, and its messages; none if it has nothing but a revision."""

    update: PolicyUpdate
    at: float
    parts: list[pb.WatchResponse]


class PolicyServicer:
    """Sends policies, and changes of them as soon as they are in force."""

    def __init__(
        self,
        feed: PolicyFeed,
        policies: PolicySource,
        risk_points: Callable[[], Mapping[str, Any]],
    ) -> None:
        """Takes what is sent.

        Args:
            feed: reads the policies.
            policies: says when a revision is in force.
            risk_points: returns the risk points of findings, as JSON.
        """
        self._feed = feed
        self._policies = policies
        self._risk_points = risk_points
        self._ending = asyncio.Event()
        self._making: dict[_WantedUpdate, asyncio.Task[_MadeUpdate]] = {}
        self.streams = 0

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {"Watch": self.watch, "GetSigningKey": self.signing_key}

    async def watch(self, call: Call, message: Message) -> pb.WatchResponse:
        """Streams updates.

        Raises:
            RateLimited: too many streams are open.
            StoreUnavailable: the store cannot be read.
        """
        if self.streams >= MAX_STREAMS:
            raise RateLimited(f"{MAX_STREAMS} followers are connected already", HEARTBEAT_S)
        request = cast("pb.WatchRequest", message)
        call.stream = self._updates(call.tenant_id, request, await self._feed.identity())
        return pb.WatchResponse()

    async def signing_key(self, call: Call, message: Message) -> pb.GetSigningKeyResponse:
        """Returns the public key of the updates."""
        identity = await self._feed.identity()
        key = base64.b64encode(Signer(identity.signing_key).public_key).decode()
        return pb.GetSigningKeyResponse(public_key=key, installation=identity.installation)

    def end_streams(self) -> None:
        """Ends all streams, so that a draining server does not wait for their callers."""
        self._ending.set()

    async def _updates(
        self, tenant_id: str, request: pb.WatchRequest, identity: FeedIdentity
    ) -> AsyncIterator[pb.WatchResponse]:
        signer = Signer(identity.signing_key)
        installation, revision = request.installation, request.revision
        sent_at = float("-inf")
        self.streams += 1
        try:
            while not self._ending.is_set():
                asked = _WantedUpdate(tenant_id, installation, revision)
                update, at, parts = await self._shared(asked, signer)
                due_s = sent_at + HEARTBEAT_S - time.monotonic()
                if parts or due_s <= 0:
                    for part in parts or await self._signed(update, at, signer):
                        yield part
                    sent_at, due_s = time.monotonic(), HEARTBEAT_S
                    installation, revision = update.installation, update.revision
                # What was not sent concerns other tenants. The next update builds on the last one.
                await self._next_change(update.revision, due_s)
        finally:
            self.streams -= 1

    async def _shared(self, asked: _WantedUpdate, signer: Signer) -> _MadeUpdate:
        """Returns an update. Followers that ask for the same at the same time share it."""
        task = self._making.get(asked)
        if task is None:
            task = self._making[asked] = asyncio.create_task(self._make(asked, signer))
            task.add_done_callback(lambda _: self._making.pop(asked, None))
        return await asyncio.shield(task)

    async def _make(self, asked: _WantedUpdate, signer: Signer) -> _MadeUpdate:
        at = time.time()
        update = await self._feed.since(*asked)
        if update.since and not update.policies:
            return _MadeUpdate(update, at, [])
        return _MadeUpdate(update, at, await self._signed(update, at, signer))

    async def _signed(
        self, update: PolicyUpdate, at: float, signer: Signer
    ) -> list[pb.WatchResponse]:
        return await asyncio.to_thread(signed_parts, update, self._risk_points(), at, signer)

    async def _next_change(self, revision: int, timeout_s: float) -> None:
        """Waits until a later revision is in force, for a time, or until the streams end."""
        waits = [
            asyncio.ensure_future(self._policies.reach(revision + 1, timeout_s)),
            asyncio.ensure_future(self._ending.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
