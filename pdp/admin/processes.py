"""The server processes that serve from the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.admin.workspace import Workspace
    from pdp.domain.server_process import SeenProcess
    from pdp.store.port import Reader


class ProcessList(NamedTuple):
    """The processes, the oldest first, and the newest revision of the store."""

    processes: Sequence[SeenProcess]
    revision: int


class Processes:
    """Lists server processes."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def list(self) -> ProcessList:
        """Returns the processes that were seen lately.

        Raises:
            StoreUnavailable: the store cannot be read.
        """

        def work(reader: Reader) -> ProcessList:
            return ProcessList(reader.processes(), reader.revision())

        return await self._workspace.read(work)
