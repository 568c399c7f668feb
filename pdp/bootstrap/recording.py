"""The records of decisions, composed: where they are kept, what writes them, what reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from pdp.audit.maintenance import Checkpoints
from pdp.audit.recorder import Recorder
from pdp.decisions.record_builder import RecordBuilder
from pdp.decisions.recording import DecisionRecorder
from pdp.domain.audit_log import Retention
from pdp.errors import ConfigError, StoreUnavailable
from pdp.store.sqlite.audit_log import SqliteAuditLog
from pdp.store.sqlite.store import path_of

if TYPE_CHECKING:
    from pathlib import Path

    from pdp.audit.acknowledgements import Acknowledgements
    from pdp.config import Settings
    from pdp.decisions.record_builder import PendingRecord
    from pdp.domain.audit_log import AuditLog
    from pdp.transport.metrics import Metrics

FILE_NAME: Final = "audit.db"
"""Beside the database of policies, unless a setting names another place."""

DURABLE: Final = "durable"

MIN_KEY_BYTES: Final = 32

_DAY_S: Final = 86_400
_MIB: Final = 1 << 20

DEFAULT_RETENTION: Final = Retention(365 * _DAY_S, 10_240 * _MIB)
"""That of the settings."""


@dataclass(frozen=True, slots=True)
class RecordingOptions:
    """How decisions are recorded.

    Attributes:
        url: where, as `sqlite:///PATH`.
        durable: answer only what is on disk.
        bound: decisions that may wait where it is not.
        retention: what is kept.
        key: of the chain; empty for none.
    """

    url: str
    durable: bool = True
    bound: int = 10_000
    retention: Retention = DEFAULT_RETENTION
    key: bytes = b""

    @classmethod
    def of(cls, settings: Settings, database_url: str | None = None) -> Self:
        """Reads the settings.

        Args:
            settings: the settings.
            database_url: the database of policies, where it is not the settings' own.

        Raises:
            ConfigError: the file of the key cannot be read, or is too short.
        """
        days, mib = settings.audit_retention_days, settings.audit_max_mb
        return cls(
            url=settings.audit_url or beside(database_url or settings.store_url),
            durable=settings.audit_mode == DURABLE,
            bound=settings.audit_queue,
            retention=Retention(days * _DAY_S if days else None, mib * _MIB if mib else None),
            key=_key(settings.audit_key_file),
        )


class Recording:
    """The log of records and what writes it, while a process decides."""

    def __init__(self, options: RecordingOptions, tickets: Acknowledgements) -> None:
        """Opens the log, made where it is not there, and starts to record.

        Args:
            options: how.
            tickets: what callers wait for, in durable mode.

        Raises:
            ConfigError: the log cannot be used.
            StoreUnavailable: it cannot be read or written now.
        """
        self.log = _opened(options)
        self.maker = RecordBuilder()
        self.recorder: Recorder[PendingRecord] = Recorder(
            self.log,
            self.maker.make,
            tickets if options.durable else None,
            bound=options.bound,
            retention=options.retention,
        )
        self.records = DecisionRecorder(self.recorder)
        self._checkpoints = Checkpoints(self.log)

    def measure(self, metrics: Metrics) -> None:
        """Adds how recording is to the metrics."""
        recorder = self.recorder
        metrics.gauge(
            "pdp_audit_queue_depth", "Decisions that wait to be recorded.", lambda: recorder.depth
        )
        metrics.counter("pdp_audit_records", "Decisions recorded.", lambda: recorder.written)
        metrics.counter(
            "pdp_audit_withheld",
            "Records without what could not be looked through for secrets.",
            lambda: self.maker.withheld,
        )
        metrics.counter(
            "pdp_audit_dropped",
            "Decisions that were answered and not recorded (async mode).",
            lambda: recorder.dropped,
        )
        metrics.counter(
            "pdp_audit_unrecorded",
            "Decisions that were blocked, since they could not be recorded (durable mode).",
            lambda: recorder.unwritten,
        )
        metrics.counter(
            "pdp_audit_consumer_failures",
            "Batches of records that an exporter did not take.",
            lambda: recorder.consumer_failures,
        )

    def close(self) -> None:
        """Writes down what waits, and releases the log."""
        self.recorder.close()
        self._checkpoints.close()
        self.log.close()


def _opened(options: RecordingOptions) -> AuditLog:
    try:
        return SqliteAuditLog.open(options.url, key=options.key)
    except (ConfigError, StoreUnavailable) as error:
        # Its errors speak of a store: there are two of them, and this is the other one.
        raise type(error)(
            f"The log of decisions, {path_of(options.url)}: {error.message}"
        ) from error


def beside(database_url: str) -> str:
    """Returns where records are kept that belong to a database of policies.

    Raises:
        ConfigError: the URL is none.
    """
    return f"sqlite:///{path_of(database_url).with_name(FILE_NAME)}"


def _key(file: Path | None) -> bytes:
    if file is None:
        return b""
    try:
        key = file.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"PDP_AUDIT_KEY_FILE {file} cannot be read: {error.strerror}") from None
    if len(key) < MIN_KEY_BYTES:
        raise ConfigError(
            f"PDP_AUDIT_KEY_FILE {file} holds {len(key)} bytes; write at least {MIN_KEY_BYTES}, "
            "for instance by: openssl rand -hex 32"
        )
    return key
