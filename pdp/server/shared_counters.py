"""The metrics of counters of limits that all replicas share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pdp.transport.metrics import Metrics
    from pdp.usage.shared.shared_metering import SharedMetering


def measure_shared_counters(metrics: Metrics, metering: SharedMetering) -> None:
    """Adds the metrics of shared counters."""
    meter = metering.meter
    counters = meter.counters
    metrics.gauge(
        "pdp_limits_shared",
        "1 if limits are counted by all replicas together, 0 if by this process alone.",
        lambda: float(counters.ready),
    )
    metrics.counter(
        "pdp_limits_counted_alone",
        "Requests with limits that this process counted alone.",
        lambda: meter.decided_alone,
    )
    metrics.counter(
        "pdp_limits_timeouts",
        "Times that the shared counters did not answer within the budget.",
        lambda: counters.timeouts,
    )
    metrics.counter(
        "pdp_limits_refusals",
        "Calls that the server of the shared counters refused.",
        lambda: counters.refusals,
    )
    metrics.counter(
        "pdp_limits_connections_lost",
        "Connections to the shared counters that broke.",
        lambda: counters.losses,
    )
