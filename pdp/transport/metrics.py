"""The metrics of `/metrics`. One thread counts them as plain numbers, without locks."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from prometheus_client.metrics_core import Metric

    from pdp.domain.decision import Outcome

LATENCY_BUCKETS_S: Final = (
    0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0,
)  # fmt: skip
"""The upper bounds of the buckets. A decision usually falls into the first few."""


class _Latency:
    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(LATENCY_BUCKETS_S) + 1)
        self.total = 0.0


class Metrics(Collector):
    """Counts calls and decisions, and reads gauges when the metrics are read.

    Attributes:
        stale_decisions: decisions by saved policies.
        all_workers: returns the rendered metrics of each worker, by its number, or None for a
            worker that does not respond; None if this process is not one of several workers.
    """

    def __init__(self) -> None:
        self._calls: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        self._latencies: defaultdict[tuple[str, str], _Latency] = defaultdict(_Latency)
        self._decisions: defaultdict[tuple[Outcome, str], int] = defaultdict(int)
        self._matches: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._monitored: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._faults: defaultdict[str, int] = defaultdict(int)
        self.stale_decisions = 0
        self._refused_credentials: defaultdict[str, int] = defaultdict(int)
        self._gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        self._counters: dict[str, tuple[str, Callable[[], float]]] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self.all_workers: Callable[[], Awaitable[Mapping[int, str | None]]] | None = None

    def call(self, transport: str, method: str, code: str, seconds: float) -> None:
        """Counts one call that ended with `code` (`OK` or an error reason)."""
        self._calls[transport, method, code] += 1
        latency = self._latencies[transport, method]
        latency.counts[bisect_left(LATENCY_BUCKETS_S, seconds)] += 1
        latency.total += seconds

    @property
    def completed_calls(self) -> int:
        """The number of calls that have ended."""
        return sum(self._calls.values())

    def decision(self, outcome: Outcome, reason_code: str) -> None:
        """Counts one decision."""
        self._decisions[outcome, reason_code] += 1

    def match(self, layer: str, action: str) -> None:
        """Counts one policy that matched in a decision."""
        self._matches[layer, action] += 1

    def monitored(self, layer: str, would_be: str) -> None:
        """Counts one match of a policy in monitor mode, with the outcome it would have given."""
        self._monitored[layer, would_be] += 1

    def fault(self, layer: str) -> None:
        """Counts one internal error in an evaluation."""
        self._faults[layer] += 1

    def refused_credential(self, reason: str) -> None:
        """Counts one credential that is invalid or missing."""
        self._refused_credentials[reason] += 1

    def gauge(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Adds a gauge; `read` returns its value each time the metrics are read."""
        self._gauges[name] = (help_text, read)

    def counter(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Adds a counter; `read` returns its value each time the metrics are read."""
        self._counters[name] = (help_text, read)

    def render(self) -> bytes:
        """Returns all metrics in the Prometheus text format."""
        return generate_latest(self._registry)

    async def page(self) -> bytes:
        """Returns the metrics of this process, or of all workers if it is one of several.

        Raises:
            TimeoutError: the parent process does not respond.
        """
        if self.all_workers is None:
            return self.render()
        from pdp.transport.worker_metrics import merge_workers  # noqa: PLC0415 - several workers only

        return merge_workers(await self.all_workers())

    def collect(self) -> Iterator[Metric]:
        """Yields the current metrics."""
        calls = CounterMetricFamily(
            "pdp_calls", "Calls by error reason, or OK.", labels=("transport", "method", "code")
        )
        for call, count in self._calls.items():
            calls.add_metric(call, count)
        yield calls
        yield self._latency_family()
        decisions = CounterMetricFamily(
            "pdp_decisions", "Decisions by outcome.", labels=("outcome", "reason_code")
        )
        for (outcome, reason_code), count in self._decisions.items():
            decisions.add_metric((outcome.name, reason_code), count)
        yield decisions
        matches = CounterMetricFamily(
            "pdp_matches",
            "Policies that matched in decisions, by layer.",
            labels=("layer", "action"),
        )
        for match, count in self._matches.items():
            matches.add_metric(match, count)
        yield matches
        monitored = CounterMetricFamily(
            "pdp_monitored_matches",
            "Matches of policies in monitor mode, by the outcome they would have given.",
            labels=("layer", "would_be"),
        )
        for match, count in self._monitored.items():
            monitored.add_metric(match, count)
        yield monitored
        faults = CounterMetricFamily(
            "pdp_faults", "Internal errors in evaluations, by layer.", labels=("layer",)
        )
        for layer, count in self._faults.items():
            faults.add_metric((layer,), count)
        yield faults
        refusals = CounterMetricFamily(
            "pdp_credentials_refused", "Calls without a valid credential.", labels=("reason",)
        )
        for reason, count in self._refused_credentials.items():
            refusals.add_metric((reason,), count)
        yield refusals
        for name, (help_text, read) in self._gauges.items():
            yield GaugeMetricFamily(name, help_text, value=read())
        for name, (help_text, read) in self._counters.items():
            yield CounterMetricFamily(name, help_text, value=read())

    def _latency_family(self) -> HistogramMetricFamily:
        family = HistogramMetricFamily(
            "pdp_call_seconds",
            "Time that calls spent in the server.",
            labels=("transport", "method"),
        )
        for labels, latency in self._latencies.items():
            cumulative = 0
            buckets: list[tuple[str, float]] = []
            for bound, count in zip(LATENCY_BUCKETS_S, latency.counts, strict=False):
                cumulative += count
                buckets.append((str(bound), cumulative))
            buckets.append(("+Inf", cumulative + latency.counts[-1]))
            family.add_metric(labels, buckets=buckets, sum_value=latency.total)
        return family
