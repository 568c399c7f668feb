"""The connector directory: list, health and tests of connectors, and their settings."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import pytest

from pdp.errors import ConfigError, ConnectorNotFound
from pdp.export.exporter import ExportStatus
from pdp.export.siem import directory
from pdp.export.siem.base import DeliveryFailed
from pdp.export.siem.directory import ConnectorDirectory
from pdp.export.siem.environment import public_url
from pdp.export.siem.registry import RegisteredConnector, load_connectors, specs
from pdp.export.spooled import DeliveryStatus
from tests.unit.test_siem_http import ENVIRONMENTS

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from pdp.export.siem.base import ConnectorSpec

PAGE: Final = (Path(__file__).parents[2] / "docs/siem.md").read_text(encoding="utf-8")


class Fake:
    """A connector with a configurable health."""

    max_events: ClassVar[int] = 1
    max_bytes: ClassVar[int] = 1

    def __init__(self) -> None:
        self.checks = 0
        self.error: Exception | None = None
        self.warning = ""

    def config_summary(self) -> Mapping[str, str]:
        return {"index": "audit"}

    async def send(self, events: Any) -> Any:
        raise ZeroDivisionError

    async def check(self) -> str:
        self.checks += 1
        if self.error is not None:
            raise self.error
        return self.warning

    async def close(self) -> None:
        pass


class InlineRunner:
    """A `Runner` on the event loop of the test."""

    def __init__(self, deliveries: DeliveryStatus) -> None:
        self.status = ExportStatus({"splunk": deliveries})

    async def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return await work


def directory_of(fake: Fake, deliveries: DeliveryStatus = DeliveryStatus()) -> ConnectorDirectory:  # noqa: B008 - immutable
    spec = load_connectors({})["splunk"].spec
    return ConnectorDirectory(
        lambda: {"splunk": RegisteredConnector(spec, fake, lambda: fake)}, InlineRunner(deliveries)
    )


async def status(fake: Fake, deliveries: DeliveryStatus = DeliveryStatus()) -> tuple[str, str]:  # noqa: B008
    [state] = await directory_of(fake, deliveries).connectors()
    return state.status, state.detail


async def test_health_follows_the_health_check() -> None:
    fake = Fake()
    assert await status(fake) == ("healthy", "")
    fake.warning = "yellow"
    assert await status(fake) == ("degraded", "yellow")
    fake.error = DeliveryFailed("HTTP 503")
    assert await status(fake) == ("error", "HTTP 503")
    fake.error = ZeroDivisionError("secret")
    assert await status(fake) == ("error", "ZeroDivisionError")


async def test_health_follows_the_deliveries(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    fake = Fake()
    assert (await status(fake, DeliveryStatus(waiting=999, oldest_at=now)))[0] == "healthy"
    assert (await status(fake, DeliveryStatus(waiting=1000, oldest_at=now)))[0] == "degraded"
    assert (await status(fake, DeliveryStatus(waiting=1, oldest_at=now - 61)))[0] == "degraded"
    failing = DeliveryStatus(waiting=1, failing_since=now, last_error="HTTP 404 index not found")
    assert await status(fake, failing) == ("degraded", "HTTP 404 index not found")
    assert (await status(fake, failing._replace(failing_since=now - 301)))[0] == "error"


async def test_the_health_check_is_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake()
    connector_directory = directory_of(fake)
    await connector_directory.connectors()
    await connector_directory.connectors()
    assert fake.checks == 1
    monkeypatch.setattr(directory, "CACHE_S", 0.0)
    await connector_directory.connectors()
    assert fake.checks == 2


async def test_an_internal_error_fails_the_test_delivery() -> None:
    delivery = await directory_of(Fake()).test("splunk", "alice")
    assert delivery.error == "ZeroDivisionError"
    with pytest.raises(ConnectorNotFound):
        await directory_of(Fake()).test("Splunk", "alice")


async def test_without_variables_no_connector_is_configured() -> None:
    connector_directory = ConnectorDirectory(
        lambda: load_connectors({}), InlineRunner(DeliveryStatus())
    )
    states = await connector_directory.connectors()
    assert {each.status for each in states} == {"not_configured"}
    for state in states:
        delivery = await connector_directory.test(state.spec.id, "alice")
        assert delivery.error is not None
        for variable in state.spec.variables:
            assert (variable.name in delivery.error) is variable.required


@pytest.mark.parametrize("name", sorted(ENVIRONMENTS))
def test_an_incomplete_configuration_names_the_missing_variable(name: str) -> None:
    environ = ENVIRONMENTS[name]("https://siem.example.com")
    spec = load_connectors({})[name].spec
    required = [each.name for each in spec.variables if each.required]
    for missing in required[1:]:
        with pytest.raises(ConfigError, match=missing):
            load_connectors({key: value for key, value in environ.items() if key != missing})
    optional = {each.name: "x" for each in spec.variables if not each.required}
    assert load_connectors(optional)[name].connector is None


@pytest.mark.parametrize(
    "url", ["splunk:8088", "ftp://splunk", "https://", "https://a:b@splunk", "https://splunk:0"]
)
def test_an_invalid_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="SPLUNK_HEC_URL") as refusal:
        load_connectors({"SPLUNK_HEC_URL": url, "SPLUNK_HEC_TOKEN": "t"})
    assert url not in str(refusal.value)


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"SPLUNK_HEC_TLS_VERIFY": "maybe"}, "SPLUNK_HEC_TLS_VERIFY"),
        ({"DATADOG_API_KEY": "k", "DATADOG_SITE": "evil.example/x"}, "DATADOG_SITE"),
        ({"SIEM_FILE_PATH": "x", "SIEM_FILE_MAX_MB": "0"}, "SIEM_FILE_MAX_MB"),
        ({"OTLP_LOGS_ENDPOINT": "http://x", "OTLP_LOGS_HEADERS": "key"}, "OTLP_LOGS_HEADERS"),
        ({"KAFKA_BOOTSTRAP_SERVERS": "x", "KAFKA_SECURITY_PROTOCOL": "x"}, "KAFKA_SECURITY"),
        (
            {"KAFKA_BOOTSTRAP_SERVERS": "x", "KAFKA_SECURITY_PROTOCOL": "SASL_SSL"},
            "KAFKA_SASL_USERNAME",
        ),
    ],
)
def test_an_invalid_value_names_the_variable(environ: dict[str, str], name: str) -> None:
    environment = {"SPLUNK_HEC_URL": "https://s", "SPLUNK_HEC_TOKEN": "t", **environ}
    with pytest.raises(ConfigError, match=name):
        load_connectors(environment)


def test_a_url_is_shown_without_credentials() -> None:
    assert public_url("https://u:p@[::1]:8088/x?token=t#f") == "https://[::1]:8088/x"


@pytest.mark.parametrize("spec", specs(), ids=lambda each: each.id)
def test_every_variable_is_documented(spec: ConnectorSpec) -> None:
    section = PAGE.partition(f"\n### {spec.display_name}\n")[2].partition("\n#")[0]
    assert section.lstrip().startswith(f"`{spec.id}`")
    for variable in spec.variables:
        default = "needed" if variable.required else f"`{variable.default}`"
        default_text = default if variable.required or variable.default else "none"
        assert f"| `{variable.name}` | {default_text} | {variable.description} |\n" in section
    assert section.count("\n| `") == len(spec.variables)
