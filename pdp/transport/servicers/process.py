"""ProcessService (docs/replicas.md, Which processes serve)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdp._gen.pdp.v1 import process_pb2 as pb
from pdp.transport.servicers.fields import to_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp.admin.processes import Processes
    from pdp.domain.server_process import SeenProcess
    from pdp.transport.call import Call, Endpoint


class ProcessServicer:
    """Lists the processes that serve from the store."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    def handlers(self) -> Mapping[str, Endpoint]:
        """Returns the handler of each RPC, by its name."""
        return {"ListProcesses": self.list}

    async def list(self, call: Call, message: Message) -> pb.ListProcessesResponse:
        """Lists the processes."""
        processes, revision = await self._processes.list()
        return pb.ListProcessesResponse(processes=map(_process, processes), revision=revision)


def _process(seen: SeenProcess) -> pb.ServerProcess:
    process = seen.process
    return pb.ServerProcess(
        process_id=process.process_id,
        host=process.host,
        pid=process.pid,
        worker=process.worker,
        version=process.version,
        started_at=to_timestamp(seen.started_at),
        seen_at=to_timestamp(seen.seen_at),
        revision=process.revision,
        policies_age_seconds=round(process.policies_age_s, 3),
        state=seen.state,
    )
