"""Updates of policies as signed messages (docs/following.md)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from pdp._gen.pdp.v1 import policy_pb2 as pb
from pdp.domain.followed_policies import FORMAT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pdp.auth.signatures import Signer
    from pdp.domain.followed_policies import FollowedPolicy, PolicyUpdate

PART_BYTES: Final = 512 * 1024
"""Bytes of policies from which an update goes on in its next part."""


def signed_parts(
    update: PolicyUpdate, risk_points: Mapping[str, Any], made_at: float, signer: Signer
) -> list[pb.WatchResponse]:
    """Returns the signed messages of an update.

    Args:
        update: the update.
        risk_points: the risk points of findings, as JSON.
        made_at: the time of the update, in seconds since the epoch.
        signer: signs the messages.
    """
    at = Timestamp()
    at.FromNanoseconds(round(made_at * 1e9))
    head = pb.PolicyUpdate(
        installation=update.installation,
        tenant_id=update.tenant_id,
        from_revision=update.since,
        revision=update.revision,
        made_at=at,
        format=FORMAT,
        risk_points_json=_json(risk_points),
    )
    pages = list(_pages(update))
    parts = []
    for number, page in enumerate(pages):
        part = pb.PolicyUpdate(part=number, last=number == len(pages) - 1, states=page)
        part.MergeFrom(head)
        content = part.SerializeToString()
        parts.append(
            pb.WatchResponse(
                update=content, signature=signer.sign(content), public_key=signer.public_key
            )
        )
    return parts


def _pages(update: PolicyUpdate) -> Iterator[list[pb.PolicyState]]:
    """Yields the policies in pages of bounded size, at least one."""
    page: list[pb.PolicyState] = []
    size = 0
    for policy in update.policies:
        page.append(_state(policy))
        size += page[-1].ByteSize()
        if size >= PART_BYTES:
            yield page
            page, size = [], 0
    yield page


def _state(policy: FollowedPolicy) -> pb.PolicyState:
    return pb.PolicyState(
        platform=policy.platform,
        kind=policy.kind,
        id=policy.id,
        revision=policy.revision,
        body_json="" if policy.body is None else _json(policy.body),
    )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=dict)
