"""The connectors as admins see them: which there are, how they are, and whether a test arrives
(seed 002).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeVar
from uuid import uuid4

import structlog

from pdp.errors import ConnectorNotFound
from pdp.export.ocsf import schema
from pdp.export.siem.base import BatchRefused, DeliveryFailed, Event
from pdp.export.siem.text import compact

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence

    from pdp.export.exporter import Exports
    from pdp.export.siem.base import Connector, Spec
    from pdp.export.siem.registry import Registered
    from pdp.export.spool import Standing

Status = Literal["healthy", "degraded", "error", "not_configured"]
STATUSES: Final[tuple[Status, ...]] = ("healthy", "degraded", "error", "not_configured")

CACHE_S: Final = 15.0
"""How long an answer of a product about its health is good."""

PATIENCE_S: Final = 10.0
TEST_PATIENCE_S: Final = 30.0

MANY_WAITING: Final = 1_000
LONG_WAITING_S: Final = 60.0
"""From so many events, or such an age of the oldest, a spool counts as growing."""

LONG_FAILING_S: Final = 300.0
"""From then on deliveries that fail are more than a passing trouble."""

_log: Final = structlog.get_logger("pdp.siem")
T = TypeVar("T")


class Runner(Protocol):
    """What runs where the connectors live, and knows how deliveries stand."""

    @property
    def exports(self) -> Exports:
        """How exports stand."""

    def run(self, work: Coroutine[Any, Any, T]) -> Awaitable[T]:
        """Runs `work` where the connectors live."""


@dataclass(frozen=True, slots=True)
class ConnectorState:
    """A connector, as lists show it. `detail` is for the log: why it is not healthy."""

    spec: Spec
    status: Status
    config_summary: Mapping[str, str]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TestDelivery:
    """What came of a test; `error` is None where it arrived."""

    connector_id: str
    error: str | None

    __test__ = False


class Directory:
    """All connectors that there are.

    Args:
        registered: returns them, by id; called when they are first asked for.
        runner: runs what is asked of them.
    """

    def __init__(self, registered: Callable[[], Mapping[str, Registered]], runner: Runner) -> None:
        self._registered = cache(registered)
        self._runner = runner
        self._states: dict[str, tuple[float, ConnectorState]] = {}

    async def connectors(self) -> Sequence[ConnectorState]:
        """Returns all connectors; their health is as of a few seconds ago."""
        return await asyncio.gather(*(self._state(each) for each in self._registered().values()))

    async def test(self, connector_id: str, actor: str) -> TestDelivery:
        """Delivers a made-up event, past the spool.

        Args:
            connector_id: which one; an alias will do.
            actor: who asks.

        Raises:
            ConnectorNotFound: there is none of that id.
        """
        found = self._find(connector_id)
        if found.connector is None:
            return TestDelivery(found.spec.id, found.why_not)
        error = await self._runner.run(_delivered(found.make(), trial_event(actor)))
        return TestDelivery(found.spec.id, error)

    def _find(self, connector_id: str) -> Registered:
        for each in self._registered().values():
            if connector_id == each.spec.id or connector_id in each.spec.aliases:
                return each
        raise ConnectorNotFound(f"there is no SIEM connector {connector_id}")

    async def _state(self, registered: Registered) -> ConnectorState:
        spec, connector = registered.spec, registered.connector
        if connector is None:
            return ConnectorState(spec, "not_configured", {})
        held = self._states.get(spec.id)
        if held is not None and time.monotonic() - held[0] < CACHE_S:
            return held[1]
        trouble, note = await self._runner.run(_asked(registered.make()))
        standing = self._runner.exports.standings.get(spec.id)
        status, detail = _judged(trouble, note, standing)
        state = ConnectorState(spec, status, connector.config_summary(), detail)
        if held is None or held[1].status != status:
            _log.info("siem connector", connector=spec.id, status=status, detail=detail)
        self._states[spec.id] = (time.monotonic(), state)
        return state


def _judged(trouble: str, note: str, standing: Standing | None) -> tuple[Status, str]:
    """Returns how a connector is, from what the product says and from how deliveries stand."""
    now = time.time()
    if trouble:
        return "error", trouble
    if standing is not None:
        if standing.failing_since is not None:
            long_ = now - standing.failing_since >= LONG_FAILING_S
            return ("error" if long_ else "degraded"), standing.last_error
        if standing.waiting >= MANY_WAITING:
            return "degraded", f"{standing.waiting} events wait"
        if standing.oldest_at is not None and now - standing.oldest_at >= LONG_WAITING_S:
            return "degraded", f"an event has waited for {now - standing.oldest_at:.0f} s"
    return ("degraded", note) if note else ("healthy", "")


async def _asked(connector: Connector) -> tuple[str, str]:
    """Asks a product how it is; returns its trouble and, where there is none, its note."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return "", await connector.check()
    except TimeoutError:
        return "no answer in time", ""
    except DeliveryFailed as error:
        return error.reason, ""
    except Exception as error:
        _log.exception("a connector cannot be asked")
        return type(error).__name__, ""
    finally:
        await connector.close()


async def _delivered(connector: Connector, event: Event) -> str | None:
    """Delivers one event; returns why it was not taken, None where it was."""
    try:
        async with asyncio.timeout(TEST_PATIENCE_S):
            refusals = await connector.send([event])
    except TimeoutError:
        return "no answer in time"
    except (DeliveryFailed, BatchRefused) as error:
        return error.reason
    except Exception as error:
        _log.exception("a connector failed")
        return type(error).__name__
    finally:
        await connector.close()
    return refusals[0].reason if refusals else None


def trial_event(actor: str) -> Event:
    """Returns a made-up event that says of itself that it is one."""
    at = time.time()
    uid = f"test-{uuid4()}"
    event = schema.event(
        schema.API_ACTIVITY,
        (schema.OTHER, "Test"),
        uid=uid,
        at=at,
        severity_id=schema.INFORMATIONAL,
        message="Test delivery of the policy decision point",
        tenant_id="",
        profiles=(schema.SECURITY_CONTROL,),
    )
    event["metadata"]["labels"] = ["test"]
    event |= {
        "status_id": schema.SUCCESS,
        "status": schema.STATUSES[schema.SUCCESS],
        "actor": {"user": {"name": actor, "uid": actor}},
        "src_endpoint": {"name": "pdp"},
        "api": {"operation": "TestSiemConnector", "service": {"name": schema.PRODUCT["name"]}},
        "action_id": 3,
        "action": "Observed",
        "disposition_id": 17,
        "disposition": "Logged",
    }
    return Event(0, uid, at, compact(event))
