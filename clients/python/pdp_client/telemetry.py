"""Trace context and, if the API of OpenTelemetry is installed, spans and a metric."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

try:
    from opentelemetry import metrics, propagate, trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError:  # it is optional
    trace = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

_current: ContextVar[str] = ContextVar("pdp_client_traceparent", default="")

NAME: Final = "pdp_client"
"""The name of the tracer and of the meter."""

DURATION: Final = "pdp.client.duration"
"""The name of the metric: the duration of calls in seconds."""


@contextmanager
def use_traceparent(traceparent: str) -> Iterator[None]:
    """Sends a W3C `traceparent` with the calls inside, if they name no other.

    Args:
        traceparent: the header as it was received; if it is malformed, it is ignored.
    """
    token = _current.set(traceparent if _TRACEPARENT.fullmatch(traceparent) else "")
    try:
        yield
    finally:
        _current.reset(token)


class CallTrace:
    """The span of one call.

    Attributes:
        metadata: what passes the trace on to the server.
        outcome: set it to the outcome of the call, for the span and the metric.
    """

    def __init__(self, metadata: tuple[tuple[str, str], ...]) -> None:
        self.metadata = metadata
        self.outcome = ""


class Telemetry:
    """Describes the calls of a client to OpenTelemetry, if its API is installed."""

    def __init__(self) -> None:
        if trace is not None:
            self._tracer = trace.get_tracer(NAME)
            meter = metrics.get_meter(NAME)
            self._duration = meter.create_histogram(DURATION, "s", "Duration of calls of the PDP")

    @contextmanager
    def call(self, method: str, traceparent: str = "") -> Iterator[CallTrace]:
        """Covers one call with a span.

        Args:
            method: its full name, for instance `pdp.v1.DecideService/Decide`.
            traceparent: the parent of its span; by default, the current one.
        """
        parent = traceparent or _current.get()
        if not _TRACEPARENT.fullmatch(parent):
            parent = ""
        if trace is None:
            yield CallTrace((("traceparent", parent),) if parent else ())
            return
        carrier: dict[str, str] = {}
        service, _, name = method.rpartition("/")
        started = time.monotonic()
        with self._tracer.start_as_current_span(
            method,
            context=_context(parent, explicit=bool(traceparent)),
            kind=trace.SpanKind.CLIENT,
            attributes={"rpc.system": "grpc", "rpc.service": service, "rpc.method": name},
        ) as span:
            propagate.inject(carrier)
            call = CallTrace(_ascii(carrier))
            try:
                yield call
            finally:
                attributes = {"rpc.method": name, "pdp.outcome": call.outcome or "ERROR"}
                span.set_attributes(attributes)
                self._duration.record(time.monotonic() - started, attributes)


def _context(parent: str, *, explicit: bool) -> Any:
    """Returns the context of a span's parent; None for the current one."""
    has_current = trace.get_current_span().get_span_context().is_valid
    if not parent or (has_current and not explicit):
        return None
    return TraceContextTextMapPropagator().extract({"traceparent": parent})


def _ascii(carrier: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Returns the entries that gRPC can send as metadata."""
    pairs = ((name.lower(), value) for name, value in carrier.items())
    return tuple((name, value) for name, value in pairs if value.isascii() and value.isprintable())
