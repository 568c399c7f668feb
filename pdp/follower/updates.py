"""Reads signed updates: verifies them, and puts the parts of each together."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from google.protobuf.message import DecodeError

from pdp._gen.pdp.v1 import policy_pb2 as pb
from pdp.auth.signatures import KEY_BYTES, SignatureRefused, verify
from pdp.domain.followed_policies import FOLLOWED_KINDS, FORMAT, FollowedPolicy, PolicyUpdate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_UPDATE_BYTES: Final = 256 << 20
"""The most bytes of one update."""


class UpdateRefused(Exception):
    """An update cannot be used. The message says why, without contents."""


class ReadUpdate(NamedTuple):
    """A verified update.

    Attributes:
        update: the update.
        made_at: when the policies were in force, in seconds since the epoch.
        risk_points: the risk points of findings, as JSON.
        parts: its signed messages, to be kept.
    """

    update: PolicyUpdate
    made_at: float
    risk_points: str
    parts: Sequence[pb.WatchResponse]


class UpdateReader:
    """Reads the messages of one tenant's stream, or of its file.

    Attributes:
        public_key: the key of the signatures; empty until the first message names it.
    """

    def __init__(self, tenant_id: str, public_key: bytes = b"") -> None:
        """Takes what all messages must have.

        Args:
            tenant_id: the tenant; empty to take it from the first message.
            public_key: the key; empty to take it from the first message.
        """
        self._tenant_id = tenant_id
        self.public_key = public_key
        self._parts: list[pb.WatchResponse] = []
        self._head: pb.PolicyUpdate | None = None
        self._states: list[FollowedPolicy] = []
        self._size = 0

    def feed(self, message: pb.WatchResponse) -> ReadUpdate | None:
        """Takes a message; returns the update that it completes, None if parts are missing.

        Raises:
            UpdateRefused: the message is not signed with the key, or is not understood.
        """
        part = self._verified(message)
        self._check_order(part)
        self._size += len(message.update)
        if self._size > MAX_UPDATE_BYTES:
            raise UpdateRefused(f"an update has more than {MAX_UPDATE_BYTES} bytes")
        self._parts.append(message)
        self._states += _policies(part)
        if not part.last:
            return None
        update = PolicyUpdate(
            part.installation, part.tenant_id, part.from_revision, part.revision, self._states
        )
        made_at = part.made_at.ToNanoseconds() / 1e9
        read = ReadUpdate(update, made_at, part.risk_points_json, self._parts)
        self._head, self._parts, self._states, self._size = None, [], [], 0
        return read

    def _verified(self, message: pb.WatchResponse) -> pb.PolicyUpdate:
        key = self.public_key or message.public_key
        if message.public_key != key or len(key) != KEY_BYTES:
            raise UpdateRefused("an update is signed with another key")
        try:
            verify(key, message.update, message.signature)
            part = pb.PolicyUpdate.FromString(message.update)
        except SignatureRefused:
            raise UpdateRefused("the signature of an update is not valid") from None
        except DecodeError:
            raise UpdateRefused("an update is not a message of the contract") from None
        if part.format != FORMAT:
            raise UpdateRefused(f"an update has format {part.format}; update this program")
        if self._tenant_id and part.tenant_id != self._tenant_id:
            raise UpdateRefused("an update is for another tenant")
        self.public_key, self._tenant_id = key, part.tenant_id
        return part

    def _check_order(self, part: pb.PolicyUpdate) -> None:
        """Checks that a part follows the last one, and belongs to the same update."""
        head = self._head
        if head is None:
            if part.part != 0:
                raise UpdateRefused("an update has no first part")
            self._head = part
            return
        if part.part != len(self._parts) or _of(part) != _of(head):
            raise UpdateRefused("the parts of an update do not belong together")


def _of(part: pb.PolicyUpdate) -> tuple[Any, ...]:
    return (
        part.installation,
        part.from_revision,
        part.revision,
        part.made_at.ToNanoseconds(),
        part.risk_points_json,
    )


def _body(state: pb.PolicyState) -> dict[str, Any] | None:
    if not state.body_json:
        return None
    try:
        body = json.loads(state.body_json)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise UpdateRefused("a policy is not a JSON object")
    return body


def _policies(part: pb.PolicyUpdate) -> Iterator[FollowedPolicy]:
    for state in part.states:
        if state.kind not in FOLLOWED_KINDS:
            # Without it, decisions could be more permissive than those of the server.
            raise UpdateRefused(f"an update has policies of kind {state.kind}; update this program")
        body = _body(state)
        yield FollowedPolicy(state.platform, state.kind, state.id, state.revision, body)
