"""Loads the tenants that were used most recently when a server starts.

Decisions write nothing for this. The cache of snapshots knows the order in which tenants were used,
and their ids are written to a file every minute and at the end. If there are several workers, each
writes the file: the tenants of the last one are a sample of those of all.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Final

import structlog

from pdp.errors import PdpError
from pdp.store.files import create_directory

if TYPE_CHECKING:
    from pathlib import Path

    from pdp.admin.workspace import Workspace
    from pdp.publisher import Publisher

FILE_NAME: Final = "recent-tenants.json"

WRITE_INTERVAL_S: Final = 60.0

MAX_FILE_BYTES: Final = 32 << 20
"""A larger file is not read."""

_log: Final = structlog.get_logger("pdp.server")


class RecentTenants:
    """The tenants that a server loads when it starts."""

    def __init__(
        self, publisher: Publisher, workspace: Workspace, directory: Path, count: int
    ) -> None:
        """Args:
        publisher: knows which tenants were used.
        workspace: loads tenants.
        directory: the directory of the file.
        count: how many tenants are written and loaded; 0 for none.
        """
        self._publisher = publisher
        self._workspace = workspace
        self._file = directory / FILE_NAME
        self._count = count
        self._written: list[str] = []

    async def run(self) -> None:
        """Loads the tenants one by one, then writes the file every minute, until cancelled."""
        if not self._count:
            return
        await self.load()
        while True:
            await asyncio.sleep(WRITE_INTERVAL_S)
            await asyncio.to_thread(self.write)

    async def load(self) -> None:
        """Loads the tenants in the file that the store has and that are not in memory.

        One that cannot be loaded is left out: its next request loads it, or is blocked. Nothing is
        loaded if the store was unavailable when the server started.
        """
        if self._publisher.from_files:
            return
        loaded = 0
        # The least recently used one first, so that the order in the cache is the same afterwards.
        for tenant_id in reversed(await asyncio.to_thread(self._read)):
            if self._publisher.latest(tenant_id) is not None:
                continue
            try:
                await self._workspace.load(tenant_id)
            except PdpError as error:
                _log.warning("cannot load a tenant in advance", reason=error.message)
                continue
            loaded += 1
        _log.info("loaded the tenants used most recently", tenants=loaded)

    def write(self) -> None:
        """Writes the file, if the tenants have changed. A failure is logged."""
        tenants = self._publisher.cache.recent(self._count)
        if not tenants or tenants == self._written:
            return
        temporary = self._file.with_name(f"{FILE_NAME}.{os.getpid()}")
        try:
            create_directory(self._file.parent)
            descriptor = os.open(temporary, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(tenants, file)
            temporary.replace(self._file)
        except OSError as error:
            _log.warning("cannot write the tenants used most recently", reason=error.strerror)
            return
        self._written = tenants

    def _read(self) -> list[str]:
        try:
            if self._file.stat().st_size > MAX_FILE_BYTES:
                raise ValueError("too large")
            tenants = json.loads(self._file.read_text(encoding="utf-8"))
            if not isinstance(tenants, list):
                raise TypeError("not a list")
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, RecursionError) as error:
            _log.warning("cannot read the tenants used most recently", reason=str(error))
            return []
        return [each for each in tenants[: self._count] if isinstance(each, str)]
