"""The processes of servers that serve from one store."""

from __future__ import annotations

from typing import Final, NamedTuple

MAX_PROCESSES: Final = 1_000
"""The most processes that a store knows; those that were seen last are kept."""

LOST_S: Final = 30.0
"""A process that was not seen for so long is lost."""

FORGOTTEN_S: Final = 600.0
"""A process that was not seen for so long is forgotten."""


class ServerProcess(NamedTuple):
    """What a process says of itself.

    Attributes:
        process_id: its id, a new one at each start.
        host: the name of its host.
        pid: its process id on that host.
        worker: its number among the processes that share the ports, from 0.
        version: the version of its release.
        revision: the revision of the policies that it has in force.
        policies_age_s: time since these were last known to be the newest, in seconds.
        draining: whether it is about to end.
    """

    process_id: str
    host: str
    pid: int
    worker: int
    version: str
    revision: int
    policies_age_s: float
    draining: bool


class SeenProcess(NamedTuple):
    """A process as a store knows it. All times are by the clock of the store.

    Attributes:
        process: what it said of itself when it was last seen.
        started_at: when it was first seen, in seconds since the epoch.
        seen_at: when it was last seen.
        unseen_s: how long ago that was, in seconds.
    """

    process: ServerProcess
    started_at: float
    seen_at: float
    unseen_s: float

    @property
    def state(self) -> str:
        """`serving`, `draining`, or `lost` if it was not seen for a while."""
        if self.unseen_s > LOST_S:
            return "lost"
        return "draining" if self.process.draining else "serving"
