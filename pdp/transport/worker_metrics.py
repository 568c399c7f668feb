"""Merges the metrics of several workers: each series gets the number of its worker as a label.

Series are not summed. A restarted worker begins at zero, which Prometheus handles for a series of
one worker but not for a sum. Queries can sum the series.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

LABEL = "worker"


def merge_workers(pages: Mapping[int, str | None]) -> bytes:
    """Returns the metrics of all workers in the Prometheus text format.

    Args:
        pages: the metrics of each worker, by its number; None for a worker that did not respond.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_MergedWorkers(pages))
    return generate_latest(registry)


class _MergedWorkers(Collector):
    def __init__(self, pages: Mapping[int, str | None]) -> None:
        self._pages = pages

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily(
            "pdp_worker_up", "Whether the worker has sent its metrics.", labels=(LABEL,)
        )
        for number, page in self._pages.items():
            up.add_metric((str(number),), 0.0 if page is None else 1.0)
        yield up
        yield from _families(self._pages)


def _families(pages: Mapping[int, str | None]) -> Iterable[Metric]:
    families: dict[str, Metric] = {}
    for number, page in pages.items():
        for family in text_string_to_metric_families(page or ""):
            merged = families.setdefault(
                family.name, Metric(family.name, family.documentation, family.type)
            )
            merged.samples += [
                sample._replace(labels={**sample.labels, LABEL: str(number)})
                for sample in family.samples
            ]
    return families.values()
