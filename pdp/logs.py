"""Structured logs on stderr: JSON lines, or readable ones on a terminal.

Written by a thread of their own, so that nothing that logs waits for the terminal or the disk.
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
    """Sends all logs of at least `level` to stderr, until the context ends."""
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
    sink = logging.StreamHandler(sys.stderr)
    sink.setFormatter(formatter)
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    enqueue = _Enqueue(waiting)
    listener = logging.handlers.QueueListener(waiting, sink)
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
    """Puts records into the queue as they are: the listener's formatter renders them."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record
