"""Tells the store every few seconds that this process serves, and by which policies."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

import pdp
from pdp.domain.ids import new_id
from pdp.domain.server_process import ServerProcess
from pdp.errors import PdpError

if TYPE_CHECKING:
    from pdp.admin.workspace import WorkspaceStats
    from pdp.publisher import Publisher
    from pdp.server.state import Readiness
    from pdp.store.port import Store

INTERVAL_S: Final = 5.0
"""How often a process is written."""

LEAVE_S: Final = 1.0
"""How long the end of a process waits for a write that hangs."""

MAX_HOST_LENGTH: Final = 255

_log: Final = structlog.get_logger("pdp.server")


class Heartbeat:
    """Writes this process to the store. A store that cannot be written is asked again later."""

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        stats: WorkspaceStats,
        readiness: Readiness,
        worker: int = 0,
    ) -> None:
        """Takes what a process says of itself.

        Args:
            store: gets what it says.
            publisher: has the revision in force.
            stats: knows how old it is.
            readiness: says whether this process drains.
            worker: its number among the processes that share the ports.
        """
        self._store = store
        self._publisher = publisher
        self._stats = stats
        self._readiness = readiness
        self._worker = worker
        self._id = new_id()
        self._soon = asyncio.Event()
        self._failing = False
        self._writing = threading.Lock()
        self._left = False

    async def run(self) -> None:
        """Writes this process until cancelled."""
        while True:
            self._soon.clear()
            await asyncio.to_thread(self._write)
            with suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL_S):
                    await self._soon.wait()

    def write_soon(self) -> None:
        """Has this process written without waiting for the next time."""
        self._soon.set()

    async def leave(self) -> None:
        """Removes this process from the store, if the store can be written."""
        await asyncio.to_thread(self._remove)

    def _remove(self) -> None:
        self._left = True  # a thread may still be about to write
        if not self._writing.acquire(timeout=LEAVE_S):
            return
        try:
            with suppress(PdpError):
                self._store.remove_process(self._id)
        finally:
            self._writing.release()

    def _write(self) -> None:
        try:
            with self._writing:
                if not self._left:
                    self._store.write_process(self._process())
            self._failing = False
        except PdpError as error:
            if not self._failing:
                _log.info("cannot write this process to the store", reason=error.message)
            self._failing = True

    def _process(self) -> ServerProcess:
        return ServerProcess(
            self._id,
            socket.gethostname()[:MAX_HOST_LENGTH],
            os.getpid(),
            self._worker,
            pdp.__version__,
            self._publisher.revision,
            time.monotonic() - self._stats.current_at,
            self._readiness.draining,
        )
