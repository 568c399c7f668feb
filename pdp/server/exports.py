"""Builds the export of records and changes: SIEM connectors, alerts, and their thread."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pdp.errors import ConfigError
from pdp.export.alerts.addresses import AllowedDestinations, parse_hosts, parse_networks
from pdp.export.alerts.delivery_check import DeliveryChecker
from pdp.export.dead_letters import DeadLetters
from pdp.export.deliveries import ExportSettings
from pdp.export.delivery_worker import DeliveryTiming
from pdp.export.exporter import Exporter
from pdp.export.siem.directory import ConnectorDirectory
from pdp.export.siem.registry import load_connectors
from pdp.export.siem.text import timestamp
from pdp.export.sources import Sources

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.admin.workspace import Workspace
    from pdp.config import Settings
    from pdp.domain.stored_entity import Change
    from pdp.export.sources import RecordLog
    from pdp.publisher import Publisher
    from pdp.transport.metrics import Metrics

_MEGABYTE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class ExportSubsystem:
    """The export of the server.

    Attributes:
        exporter: receives recorded decisions and delivers them.
        directory: the connectors, as admins see them.
        trials: sends test deliveries of alerts.
        dead_letters: what could not be delivered.
    """

    exporter: Exporter
    directory: ConnectorDirectory
    trials: DeliveryChecker
    dead_letters: DeadLetters

    @classmethod
    def from_settings(
        cls, settings: Settings, environ: Mapping[str, str] = os.environ
    ) -> ExportSubsystem:
        """Builds the export from the settings, but does not start it.

        Raises:
            ConfigError: a setting, or an environment variable of a connector, is invalid.
        """
        destinations = AllowedDestinations(
            parse_networks(settings.alert_networks), parse_hosts(settings.alert_hosts)
        )
        connectors = load_connectors(environ)
        exporter = Exporter(
            ExportSettings(
                directory=settings.data_dir,
                max_bytes=settings.siem_spool_mb * _MEGABYTE,
                window_s=settings.alert_window_s,
                destinations=destinations,
                timing=DeliveryTiming(linger_s=settings.siem_flush_s),
                public_url=settings.public_url,
            ),
            {
                name: each.connector
                for name, each in connectors.items()
                if each.connector is not None
            },
        )
        directory = ConnectorDirectory(lambda: connectors, exporter)
        dead_letters = DeadLetters(settings.data_dir)
        return cls(exporter, directory, DeliveryChecker(destinations), dead_letters)

    @classmethod
    def disabled(cls) -> ExportSubsystem:
        """Returns an export that delivers nothing, for use without settings. It cannot start."""
        exporter = Exporter(ExportSettings(Path()), {})
        directory = ConnectorDirectory(lambda: load_connectors({}), exporter)
        return cls(exporter, directory, DeliveryChecker(), DeadLetters(None))

    def start(
        self, records: RecordLog, publisher: Publisher, workspace: Workspace, metrics: Metrics
    ) -> None:
        """Starts to deliver.

        Args:
            records: the log of decision records.
            publisher: has the last revision.
            workspace: reads the change log.
            metrics: gets the metrics of the export.

        Raises:
            ConfigError: connectors are configured, but their spool cannot be opened.
        """
        self.measure(metrics)
        try:
            self.exporter.start(Sources(records, _ChangeLog(publisher, workspace)))
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(
                "PDP_DATA_DIR: the spool of SIEM events, exports.db, cannot be opened "
                f"({type(error).__name__}). Make it writable, or move it away if it is damaged."
            ) from error

    def measure(self, metrics: Metrics) -> None:
        """Adds the metrics of the export to `metrics`."""
        _measure(self.exporter, metrics)

    def checks(self) -> Mapping[str, str]:
        """Returns the state of each export for `/readyz`; empty if there are none.

        Everyone may read `/readyz`. So the errors of SIEM products appear only in the log and in
        `pdp siem status`.
        """
        status = self.exporter.status
        checks = {
            f"siem_{name}": f"failing since {timestamp(each.failing_since)}"
            if each.failing_since
            else "ok"
            for name, each in status.connectors.items()
        }
        if status.faulty:
            checks["exports"] = "failing: the spool cannot be written"
        elif status.dropped:
            checks["exports"] = f"ok; {status.dropped} events were dropped"
        return checks


class _ChangeLog:
    """The change log: read on the store's thread, awaited on the exporter's event loop."""

    def __init__(self, publisher: Publisher, workspace: Workspace) -> None:
        self._publisher = publisher
        self._workspace = workspace

    @property
    def revision(self) -> int:
        """The last revision in force."""
        return self._publisher.revision

    async def newest(self) -> int:
        """The last revision in the store."""
        return await self._workspace.read(lambda reader: reader.revision())

    async def changes(self, since: int, limit: int) -> Sequence[Change]:
        """Returns up to `limit` changes after `since`, oldest first."""
        return await self._workspace.read(lambda reader: reader.changes(since, limit))

    async def removed_through(self) -> int:
        """The last revision whose change may have been removed; 0 for none."""
        return await self._workspace.read(lambda reader: reader.removed_changes().through)


def _measure(exporter: Exporter, metrics: Metrics) -> None:
    gauges = {
        "pdp_siem_waiting": (
            "Events not delivered yet to the SIEM that is furthest behind.",
            lambda: max((each.waiting for each in exporter.status.connectors.values()), default=0),
        ),
        "pdp_siem_spool_bytes": (
            "Bytes of events in the spool.",
            lambda: exporter.status.waiting_bytes,
        ),
        "pdp_siem_failing": (
            "Connectors whose deliveries fail now.",
            lambda: sum(
                each.failing_since is not None for each in exporter.status.connectors.values()
            ),
        ),
        "pdp_alerts_waiting": (
            "Alerts not delivered yet.",
            lambda: exporter.status.alerts_waiting,
        ),
        "pdp_dead_letters": (
            "Events and alerts that could not be delivered.",
            lambda: exporter.status.dead_letters,
        ),
    }
    for name, (help_text, read) in gauges.items():
        metrics.gauge(name, help_text, read)
    metrics.counter(
        "pdp_siem_dropped",
        "Events dropped because the spool was full.",
        lambda: exporter.status.dropped,
    )
    metrics.counter(
        "pdp_alerts_dropped",
        "Alerts dropped because too many waited.",
        lambda: exporter.status.alerts_dropped,
    )
