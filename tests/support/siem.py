"""Connectors and events for connector tests."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pdp.export.ocsf.decisions import decision_events
from pdp.export.siem.base import Event
from pdp.export.siem.registry import load_connectors
from pdp.export.siem.text import compact
from tests.support.records import NOW, record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from pdp.export.siem.base import Connector


@asynccontextmanager
async def connected(connector_id: str, **environ: str) -> AsyncIterator[Connector]:
    """Creates a connector from environment variables, and closes it at the end."""
    connector = load_connectors(environ)[connector_id].connector
    assert connector is not None
    try:
        yield connector
    finally:
        await connector.close()


def events(count: int) -> Sequence[Event]:
    """Returns API Activity events in the form of the spool, numbered from 1."""
    result = []
    for number in range(1, count + 1):
        document = next(iter(decision_events(record(number))))
        uid = document["metadata"]["uid"]
        result.append(Event(number, uid, NOW + number, compact(document)))
    return result


def uids(count: int) -> list[str]:
    """Returns the uids of `events`."""
    return [event.uid for event in events(count)]
