"""Structured logs on stderr: JSON lines, or readable text on a terminal.

A separate thread writes them, so that no other code waits for the terminal or the disk.
"""

from __future__ import annotations

import logging
import logging.handlers
import queue
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.config import LogLevel


@contextmanager
def logging_to_stderr(level: LogLevel) -> Iterator[None]:
    """Writes all logs of at least `level` to stderr until the context ends."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.processors.format_exc_info,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    renderer: Any = structlog.processors.JSONRenderer()
    if sys.stderr.isatty():
        renderer = structlog.dev.ConsoleRenderer()
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.processors.format_exc_info],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    log_queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
    enqueue = _Enqueue(log_queue)
    listener = logging.handlers.QueueListener(log_queue, handler)
    root = logging.getLogger()
    root.setLevel(level.upper())
    root.addHandler(enqueue)
    listener.start()
    try:
        yield
    finally:
        root.removeHandler(enqueue)
        listener.stop()


class _Enqueue(logging.handlers.QueueHandler):
    """Queues log records without changes: the listener's formatter renders them."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record
