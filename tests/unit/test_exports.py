"""The status of exports in readiness checks and metrics."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pdp.config import load
from pdp.errors import ConfigError
from pdp.export.exporter import ExportStatus
from pdp.export.spooled import DeliveryStatus
from pdp.server.exports import ExportSubsystem
from pdp.transport.metrics import Metrics

if TYPE_CHECKING:
    from pathlib import Path

FAILING = ExportStatus(
    connectors={
        "splunk": DeliveryStatus(waiting=7, dropped=3, failing_since=1.0, last_error="HTTP 503"),
        "file": DeliveryStatus(waiting=1, dropped=2),
    },
    waiting_bytes=512,
    alerts_waiting=4,
    alerts_dropped=5,
    dead_letters=6,
    dead_dropped=1,
)


class StatusStub:
    """An exporter with a fixed status."""

    def __init__(self, status: ExportStatus) -> None:
        self.status = status


def exporting(status: ExportStatus) -> ExportSubsystem:
    complete = ExportSubsystem.disabled()
    exporter: Any = StatusStub(status)
    return replace(complete, exporter=exporter)


def test_readiness_reports_failures_and_dropped_events() -> None:
    assert exporting(ExportStatus()).checks() == {}
    assert exporting(FAILING).checks() == {
        "siem_splunk": "failing since 1970-01-01T00:00:01.000Z",
        "siem_file": "ok",
        "exports": "ok; 6 events were dropped",
    }
    faulty = ExportStatus(faulty=True)
    assert exporting(faulty).checks() == {"exports": "failing: the spool cannot be written"}


def test_metrics_report_the_status() -> None:
    metrics = Metrics()
    exporting(FAILING).measure(metrics)
    text = metrics.render().decode()
    for name, value in {
        "pdp_siem_waiting": 7,
        "pdp_siem_spool_bytes": 512,
        "pdp_siem_failing": 1,
        "pdp_siem_dropped_total": 6,
        "pdp_alerts_waiting": 4,
        "pdp_alerts_dropped_total": 5,
        "pdp_dead_letters": 6,
    }.items():
        assert f"\n{name} {value}.0\n" in text


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"SPLUNK_HEC_URL": "https://splunk"}, "SPLUNK_HEC_TOKEN is not"),
        ({"SYSLOG_HOST": "h", "SYSLOG_PROTOCOL": "x"}, "SYSLOG_PROTOCOL"),
    ],
)
def test_invalid_settings_are_refused(
    tmp_path: Path, environ: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        ExportSubsystem.from_settings(load({"data_dir": tmp_path}), environ)
    with pytest.raises(ConfigError, match="PDP_ALERT_NETWORKS"):
        ExportSubsystem.from_settings(load({"data_dir": tmp_path, "alert_networks": "1.2.3"}), {})
