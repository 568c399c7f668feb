"""PolicyFileService.LintPolicies: policies of a tenant that do less than they seem."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, cast

from pdp._gen.pdp.v1 import policy_file_pb2 as pb
from pdp.admin.lint import enforced_policies, lint
from pdp.transport.servicers.fields import to_struct

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp.admin.lint import LintFinding
    from pdp.audit.reader import RecordReader
    from pdp.decisions.decider import Decider
    from pdp.transport.call import Call, Endpoint

DEFAULT_DAYS: Final = 30
_DAY_S: Final = 86_400.0


class LintServicer:
    """Finds policies of the tenant that a call acts for that do less than they seem."""

    def __init__(self, decider: Decider, reader: RecordReader | None) -> None:
        """Args:
        decider: has the policies in force.
        reader: reads the records of decisions; None if decisions are not recorded.
        """
        self._decider = decider
        self._reader = reader

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of the RPC, by its name."""
        return {"LintPolicies": self.lint}

    async def lint(self, call: Call, message: Message) -> pb.LintPoliciesResponse:
        """Returns the findings. They are computed in a thread: thousands of rules take a while."""
        request = cast("pb.LintPoliciesRequest", message)
        snapshot = await self._decider.snapshot(call.tenant_id)
        matched = None
        if self._reader is not None:
            since = time.time() - (request.days or DEFAULT_DAYS) * _DAY_S
            policy_ids = [policy_id for _, policy_id, _ in enforced_policies(snapshot)]
            matched = await self._reader.matched(call.tenant_id, policy_ids, since)
        findings = await asyncio.to_thread(lint, snapshot, matched)
        return pb.LintPoliciesResponse(
            tenant=call.tenant_id,
            revision=snapshot.revision,
            findings=map(_finding, findings),
            records=matched is not None,
        )


def _finding(finding: LintFinding) -> pb.LintFinding:
    fields = finding._asdict()
    example = fields.pop("example")
    return pb.LintFinding(**fields, example=None if example is None else to_struct(example))
