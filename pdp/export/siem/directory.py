"""The connectors for admins: their list, their health, and test deliveries."""

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

    from pdp.export.exporter import ExportStatus
    from pdp.export.siem.base import Connector, ConnectorSpec
    from pdp.export.siem.registry import RegisteredConnector
    from pdp.export.spooled import DeliveryStatus

Status = Literal["healthy", "degraded", "error", "not_configured"]
STATUSES: Final[tuple[Status, ...]] = ("healthy", "degraded", "error", "not_configured")

CACHE_S: Final = 15.0
"""How long the result of a health check is cached."""

CHECK_TIMEOUT_S: Final = 10.0
TEST_TIMEOUT_S: Final = 30.0

MANY_WAITING: Final = 1_000
LONG_WAITING_S: Final = 60.0
"""A backlog of so many events, or so old an event, makes a connector degraded."""

LONG_FAILING_S: Final = 300.0
"""Deliveries that fail for longer make it an error."""

_log: Final = structlog.get_logger("pdp.siem")
T = TypeVar("T")


class Runner(Protocol):
    """Runs coroutines on the event loop of the connectors, and has the status of exports."""

    @property
    def status(self) -> ExportStatus:
        """The status of exports."""

    def run(self, work: Coroutine[Any, Any, T]) -> Awaitable[T]:
        """Runs `work` on the event loop of the connectors."""


@dataclass(frozen=True, slots=True)
class ConnectorState:
    """The state of a connector in lists. `detail`, for the log, says why it is not healthy."""

    spec: ConnectorSpec
    status: Status
    config_summary: Mapping[str, str]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TestDelivery:
    """The result of a test delivery; `error` is None if it was delivered."""

    connector_id: str
    error: str | None

    __test__ = False


class ConnectorDirectory:
    """All connectors, configured or not.

    Args:
        load: returns the connectors by id; called once, at the first use.
        runner: runs checks and tests.
    """

    def __init__(
        self, load: Callable[[], Mapping[str, RegisteredConnector]], runner: Runner
    ) -> None:
        self._load = cache(load)
        self._runner = runner
        self._states: dict[str, tuple[float, ConnectorState]] = {}

    async def connectors(self) -> Sequence[ConnectorState]:
        """Returns all connectors. Their health may be some seconds old."""
        return await asyncio.gather(*(self._state(each) for each in self._load().values()))

    async def test(self, connector_id: str, actor: str) -> TestDelivery:
        """Delivers a test event, bypassing the spool.

        Args:
            connector_id: the id or an alias of the connector.
            actor: who requested the test.

        Raises:
            ConnectorNotFound: there is no such connector.
        """
        registered = self._find(connector_id)
        if registered.connector is None:
            return TestDelivery(registered.spec.id, registered.hint)
        error = await self._runner.run(_send(registered.create(), make_test_event(actor)))
        return TestDelivery(registered.spec.id, error)

    def _find(self, connector_id: str) -> RegisteredConnector:
        for each in self._load().values():
            if connector_id == each.spec.id or connector_id in each.spec.aliases:
                return each
        raise ConnectorNotFound(f"there is no SIEM connector {connector_id}")

    async def _state(self, registered: RegisteredConnector) -> ConnectorState:
        spec, connector = registered.spec, registered.connector
        if connector is None:
            return ConnectorState(spec, "not_configured", {})
        cached = self._states.get(spec.id)
        if cached is not None and time.monotonic() - cached[0] < CACHE_S:
            return cached[1]
        error, warning = await self._runner.run(_check(registered.create()))
        deliveries = self._runner.status.connectors.get(spec.id)
        status, detail = _assess(error, warning, deliveries)
        state = ConnectorState(spec, status, connector.config_summary(), detail)
        if cached is None or cached[1].status != status:
            _log.info("siem connector", connector=spec.id, status=status, detail=detail)
        self._states[spec.id] = (time.monotonic(), state)
        return state


def _assess(error: str, warning: str, deliveries: DeliveryStatus | None) -> tuple[Status, str]:
    """Returns the status of a connector and its reason.

    Args:
        error: the error of the health check; empty for none.
        warning: the warning of the health check; empty for none.
        deliveries: the status of its deliveries.
    """
    now = time.time()
    if error:
        return "error", error
    if deliveries is not None:
        if deliveries.failing_since is not None:
            is_long = now - deliveries.failing_since >= LONG_FAILING_S
            return ("error" if is_long else "degraded"), deliveries.last_error
        if deliveries.waiting >= MANY_WAITING:
            return "degraded", f"{deliveries.waiting} events wait"
        if deliveries.oldest_at is not None and now - deliveries.oldest_at >= LONG_WAITING_S:
            return "degraded", f"an event has waited for {now - deliveries.oldest_at:.0f} s"
    return ("degraded", warning) if warning else ("healthy", "")


async def _check(connector: Connector) -> tuple[str, str]:
    """Checks the health of a product; returns an error and a warning, both empty if healthy."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return "", await connector.check()
    except TimeoutError:
        return "no answer in time", ""
    except DeliveryFailed as error:
        return error.reason, ""
    except Exception as error:
        _log.exception("the health check of a connector failed")
        return type(error).__name__, ""
    finally:
        await connector.close()


async def _send(connector: Connector, event: Event) -> str | None:
    """Delivers one event; returns the error, or None if it was delivered."""
    try:
        async with asyncio.timeout(TEST_TIMEOUT_S):
            refusals = await connector.send([event])
    except TimeoutError:
        return "no answer in time"
    except (DeliveryFailed, BatchRefused) as error:
        return error.reason
    except Exception as error:
        _log.exception("the test delivery of a connector failed")
        return type(error).__name__
    finally:
        await connector.close()
    return refusals[0].reason if refusals else None


def make_test_event(actor: str) -> Event:
    """Returns an event that is marked as a test."""
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
