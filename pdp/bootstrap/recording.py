"""Composes the recording of decisions: the audit log, the recorder, and their settings."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, Self

from pdp.audit.decision_counter import DecisionCounter
from pdp.audit.maintenance import CheckpointThread
from pdp.audit.recorder import Recorder
from pdp.decisions.record_builder import RecordBuilder
from pdp.decisions.recording import DecisionRecorder
from pdp.domain.audit_log import Retention
from pdp.errors import ConfigError, StoreUnavailable
from pdp.store import default_audit_url, open_audit_log
from pdp.store.opening import location
from pdp.store.setting_names import AUDIT_SETTING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pdp.audit.acknowledgements import Acknowledgements
    from pdp.audit.maintenance import RetentionSource
    from pdp.config import Settings
    from pdp.decisions.record_builder import Recordable
    from pdp.domain.audit_log import AuditLog

DURABLE: Final = "durable"

MIN_KEY_BYTES: Final = 32

_DAY_S: Final = 86_400
_MIB: Final = 1 << 20

DEFAULT_RETENTION: Final = Retention(365 * _DAY_S, 10_240 * _MIB)
"""The retention by the default settings."""


class MetricsRegistry(Protocol):
    """Takes metrics that it reads whenever they are scraped."""

    def gauge(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Adds a gauge."""

    def counter(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Adds a counter."""


@dataclass(frozen=True, slots=True)
class RecordingOptions:
    """How decisions are recorded.

    Attributes:
        url: the URL of the audit log; see `pdp.store.open_audit_log`.
        durable: answer a decision only when its record is on disk.
        bound: the most decisions that may wait if `durable` is false.
        retention: when records are removed.
        key: the key of the hash chain; empty for none.
        replica: the name of this replica in a log that several share; see `open_audit_log`.
    """

    url: str
    durable: bool = True
    bound: int = 10_000
    retention: Retention | RetentionSource = DEFAULT_RETENTION
    key: bytes = b""
    replica: str = ""

    @classmethod
    def of(cls, settings: Settings, database_url: str | None = None) -> Self:
        """Returns the options by the settings.

        Args:
            settings: the settings.
            database_url: the store of policies; None for the one in the settings.

        Raises:
            ConfigError: the key file cannot be read or is too short, or a URL is not valid.
        """
        days, mib = settings.audit_retention_days, settings.audit_max_mb
        return cls(
            url=settings.audit_url
            or default_audit_url(database_url or settings.store_url)
            or _log_in(settings.data_dir),
            durable=settings.audit_mode == DURABLE,
            bound=settings.audit_queue,
            retention=Retention(days * _DAY_S if days else None, mib * _MIB if mib else None),
            key=_read_key(settings.audit_key_file),
            replica=f"{socket.gethostname()}:{settings.data_dir.absolute()}",
        )

    @classmethod
    def beside(cls, database_url: str) -> Self:
        """Returns the default options for a database: a durable log beside it.

        Beside a database that is not a file, the log is in the data directory of the settings.

        Raises:
            ConfigError: the URL, or a setting, is not valid.
        """
        url = default_audit_url(database_url)
        if url is None:
            from pdp.config import load  # noqa: PLC0415 - a third of the time that opening takes

            url = _log_in(load({}).data_dir)
        return cls(url)


def _log_in(directory: Path) -> str:
    return f"sqlite:///{directory / 'audit.db'}"


class Recording:
    """The audit log and its recorder, open while the process decides."""

    def __init__(self, options: RecordingOptions, acknowledgements: Acknowledgements) -> None:
        """Opens the audit log and starts the recorder.

        Args:
            options: how decisions are recorded.
            acknowledgements: creates what callers wait for in durable mode.

        Raises:
            ConfigError: the log cannot be used.
            StoreUnavailable: the log cannot be read or written now.
        """
        self.log = _open_log(options)
        self.maker = RecordBuilder()
        self.counter = DecisionCounter()
        self._is_durable = options.durable
        self.recorder: Recorder[Recordable] = Recorder(
            self.log,
            self.maker.make,
            acknowledgements if options.durable else None,
            bound=options.bound,
            retention=options.retention,
            count=self._count,
        )
        self.records = DecisionRecorder(self.recorder, self.counter)
        self._checkpoints = CheckpointThread(self.log, self.counter)

    def measure(self, metrics: MetricsRegistry) -> None:
        """Adds the metrics of recording."""
        recorder = self.recorder
        metrics.gauge(
            "pdp_audit_queue_depth", "Decisions that wait to be recorded.", lambda: recorder.depth
        )
        metrics.counter("pdp_audit_records", "Decisions recorded.", lambda: recorder.written)
        metrics.counter(
            "pdp_audit_withheld",
            "Records that omit a text because it could not be searched for secrets.",
            lambda: self.maker.withheld,
        )
        metrics.counter(
            "pdp_audit_dropped",
            "Decisions that were answered but not recorded (async mode).",
            lambda: recorder.dropped,
        )
        metrics.counter(
            "pdp_audit_unrecorded",
            "Decisions that were blocked because they could not be recorded (durable mode).",
            lambda: recorder.unwritten,
        )
        metrics.counter(
            "pdp_audit_uncounted",
            "Decisions that the counts beside the log lack, because it could not be written.",
            lambda: self.counter.lost,
        )
        metrics.counter(
            "pdp_audit_removed_early",
            "Records removed before their time, because the log had reached its size.",
            lambda: recorder.removed_early,
        )
        metrics.counter(
            "pdp_audit_consumer_failures",
            "Batches of records that a consumer failed to process.",
            lambda: recorder.consumer_failures,
        )

    def flush_counts(self) -> None:
        """Adds the decisions of this process that were counted until now to the log."""
        self.counter.flush(self.log)

    def _count(self, pending: Recordable, *, written: bool) -> None:
        next(self.counter.steps[pending.count_key(written=written, is_durable=self._is_durable)])

    def close(self) -> None:
        """Records the waiting decisions, and closes the log."""
        self.recorder.close()
        self._checkpoints.close()
        self.log.close()


def _open_log(options: RecordingOptions) -> AuditLog:
    try:
        return open_audit_log(options.url, key=options.key, replica=options.replica)
    except (ConfigError, StoreUnavailable) as error:
        # The error does not say which of the two databases it is about.
        file = location(options.url, AUDIT_SETTING)
        raise type(error)(f"The log of decisions, {file}: {error.message}") from error


def _read_key(file: Path | None) -> bytes:
    if file is None:
        return b""
    try:
        key = file.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"PDP_AUDIT_KEY_FILE: {file} cannot be read: {error.strerror}") from None
    if len(key) < MIN_KEY_BYTES:
        raise ConfigError(
            f"PDP_AUDIT_KEY_FILE: {file} holds {len(key)} bytes; write at least {MIN_KEY_BYTES}, "
            "for instance with: openssl rand -hex 32"
        )
    return key
