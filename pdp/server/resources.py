"""What a server opens by its settings: tracing, and models for named entities."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pdp.detect.ner import NerEngine, open_engine

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AsyncExitStack

    from pdp.config import Settings
    from pdp.transport.call import Endpoint
    from pdp.usage.shared.shared_metering import SharedMetering


def open_tracing(
    stack: AsyncExitStack, settings: Settings
) -> Callable[[Endpoint], Endpoint] | None:
    """Returns what wraps endpoints to trace them, until `stack` ends; None without a collector."""
    if not settings.otel_endpoint:
        return None
    from pdp import __version__  # noqa: PLC0415 - reads package metadata
    from pdp.transport.tracing import Tracing  # noqa: PLC0415 - only if tracing is on

    tracing = Tracing(settings.otel_endpoint, version=__version__)
    stack.push_async_callback(asyncio.to_thread, tracing.close)
    return tracing.wrap


def open_shared_counters(settings: Settings) -> SharedMetering | None:
    """Returns the counters of limits that all replicas share; None for those of the store.

    Raises:
        ConfigError: the URL cannot be used.
    """
    if not settings.limits_url:
        return None
    # An extra, that is imported only if it is used.
    from pdp.usage.shared.address import check_extra  # noqa: PLC0415

    check_extra()
    from pdp.usage.shared.shared_metering import SharedMetering  # noqa: PLC0415

    return SharedMetering(settings.limits_url, settings.limits_budget_ms / 1000)


def open_models(settings: Settings) -> NerEngine:
    """Returns the models for named entities that the settings name; the caller closes them.

    Raises:
        ConfigError: a model cannot be used.
    """
    return open_engine(
        settings.ner_model_dir, settings.gliner_model_dir, settings.ner_budget_ms / 1000
    )
