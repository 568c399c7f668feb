"""The packs and the chain of a simulation, read from its messages."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pdp.admin.simulation.overlay_packs import ChainCandidate, PackCandidate
from pdp.domain.policy_chain import FIRST_APPLICABLE
from pdp.domain.policy_pack import CUSTOM, PolicyPack
from pdp.domain.request import Request, Subject
from pdp.transport.servicers.policy_chain import places
from pdp.transport.servicers.policy_pack import rule_draft

if TYPE_CHECKING:
    from pdp._gen.pdp.v1 import simulate_pb2 as pb


def packs_of(overlay: pb.Overlay) -> list[PackCandidate]:
    """Returns the candidate packs of an overlay."""
    return [_pack(each) for each in overlay.packs]


def chain_of(overlay: pb.Overlay) -> ChainCandidate | None:
    """Returns the candidate chain of an overlay, if it has one."""
    if not overlay.HasField("chain"):
        return None
    algorithm = overlay.chain.combining_algorithm or FIRST_APPLICABLE
    return ChainCandidate(places(overlay.chain.packs), algorithm)


def chain_request(asked: pb.SimulatePolicyChainRequest, tenant_id: str) -> Request:
    """Returns what a trial of the chain asks to judge."""
    return Request(
        text=asked.prompt,
        provider=asked.provider,
        model=asked.model,
        tenant_id=tenant_id,
        subject=Subject(groups=tuple(asked.user_groups)),
        timestamp=time.time(),
    )


def _pack(asked: pb.OverlayPack) -> PackCandidate:
    pack = PolicyPack(
        id=asked.id,
        name=asked.name,
        description=asked.description,
        pack_type=CUSTOM,
        compliance_standard=asked.compliance_standard or None,
        version=asked.version or "1.0",
        is_active=asked.is_active if asked.HasField("is_active") else True,
    )
    rules = [rule_draft(each) for each in asked.rules]
    return PackCandidate(pack, rules, [each.id for each in asked.rules])
