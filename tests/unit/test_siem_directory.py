"""Which connectors there are, how they are, and what their settings must be."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import pytest

from pdp.errors import ConfigError, ConnectorNotFound
from pdp.export.exporter import Exports
from pdp.export.siem import directory
from pdp.export.siem.base import DeliveryFailed
from pdp.export.siem.directory import Directory
from pdp.export.siem.environment import shown_url
from pdp.export.siem.registry import Registered, registered, specs
from pdp.export.spool import Standing
from tests.unit.test_siem_http import ENVIRONMENTS

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from pdp.export.siem.base import Spec

PAGE: Final = (Path(__file__).parents[2] / "docs/siem.md").read_text(encoding="utf-8")


class Fake:
    """A connector that is as it is told to be."""

    max_events: ClassVar[int] = 1
    max_bytes: ClassVar[int] = 1

    def __init__(self) -> None:
        self.asked = 0
        self.trouble: Exception | None = None
        self.note = ""

    def config_summary(self) -> Mapping[str, str]:
        return {"index": "audit"}

    async def send(self, events: Any) -> Any:
        raise ZeroDivisionError

    async def check(self) -> str:
        self.asked += 1
        if self.trouble is not None:
            raise self.trouble
        return self.note

    async def close(self) -> None:
        pass


class Here:
    """Runs things where they are asked for."""

    def __init__(self, standing: Standing) -> None:
        self.exports = Exports({"splunk": standing})

    async def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return await work


def made(fake: Fake, standing: Standing = Standing()) -> Directory:  # noqa: B008 - immutable
    spec = registered({})["splunk"].spec
    return Directory(lambda: {"splunk": Registered(spec, fake, lambda: fake)}, Here(standing))


async def status(fake: Fake, standing: Standing = Standing()) -> tuple[str, str]:  # noqa: B008
    [state] = await made(fake, standing).connectors()
    return state.status, state.detail


async def test_health_is_what_the_product_says() -> None:
    fake = Fake()
    assert await status(fake) == ("healthy", "")
    fake.note = "yellow"
    assert await status(fake) == ("degraded", "yellow")
    fake.trouble = DeliveryFailed("HTTP 503")
    assert await status(fake) == ("error", "HTTP 503")
    fake.trouble = ZeroDivisionError("secret")
    assert await status(fake) == ("error", "ZeroDivisionError")


async def test_health_is_what_deliveries_say_too(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    fake = Fake()
    assert (await status(fake, Standing(waiting=999, oldest_at=now)))[0] == "healthy"
    assert (await status(fake, Standing(waiting=1000, oldest_at=now)))[0] == "degraded"
    assert (await status(fake, Standing(waiting=1, oldest_at=now - 61)))[0] == "degraded"
    failing = Standing(waiting=1, failing_since=now, last_error="HTTP 404 index not found")
    assert await status(fake, failing) == ("degraded", "HTTP 404 index not found")
    assert (await status(fake, failing._replace(failing_since=now - 301)))[0] == "error"


async def test_a_product_is_not_asked_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake()
    shown = made(fake)
    await shown.connectors()
    await shown.connectors()
    assert fake.asked == 1
    monkeypatch.setattr(directory, "CACHE_S", 0.0)
    await shown.connectors()
    assert fake.asked == 2


async def test_a_fault_of_ours_is_no_ones_error() -> None:
    delivery = await made(Fake()).test("splunk", "alice")
    assert delivery.error == "ZeroDivisionError"
    with pytest.raises(ConnectorNotFound):
        await made(Fake()).test("Splunk", "alice")


async def test_nothing_is_configured_by_nothing() -> None:
    shown = Directory(lambda: registered({}), Here(Standing()))
    states = await shown.connectors()
    assert {each.status for each in states} == {"not_configured"}
    for state in states:
        delivery = await shown.test(state.spec.id, "alice")
        assert delivery.error is not None
        for variable in state.spec.variables:
            assert (variable.name in delivery.error) is variable.required


@pytest.mark.parametrize("name", sorted(ENVIRONMENTS))
def test_half_a_configuration_is_refused_by_name(name: str) -> None:
    environ = ENVIRONMENTS[name]("https://siem.example.com")
    spec = registered({})[name].spec
    needed = [each.name for each in spec.variables if each.required]
    for missing in needed[1:]:
        with pytest.raises(ConfigError, match=missing):
            registered({key: value for key, value in environ.items() if key != missing})
    optional = {each.name: "x" for each in spec.variables if not each.required}
    assert registered(optional)[name].connector is None


@pytest.mark.parametrize(
    "url", ["splunk:8088", "ftp://splunk", "https://", "https://a:b@splunk", "https://splunk:0"]
)
def test_an_address_must_be_one_and_is_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="SPLUNK_HEC_URL") as refused:
        registered({"SPLUNK_HEC_URL": url, "SPLUNK_HEC_TOKEN": "t"})
    assert url not in str(refused.value)


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
def test_a_value_out_of_bounds_is_refused_by_name(environ: dict[str, str], name: str) -> None:
    whole = {"SPLUNK_HEC_URL": "https://s", "SPLUNK_HEC_TOKEN": "t", **environ}
    with pytest.raises(ConfigError, match=name):
        registered(whole)


def test_an_address_is_shown_without_credentials() -> None:
    assert shown_url("https://u:p@[::1]:8088/x?token=t#f") == "https://[::1]:8088/x"


@pytest.mark.parametrize("spec", specs(), ids=lambda each: each.id)
def test_every_variable_is_documented(spec: Spec) -> None:
    section = PAGE.partition(f"\n### {spec.display_name}\n")[2].partition("\n#")[0]
    assert section.lstrip().startswith(f"`{spec.id}`")
    for variable in spec.variables:
        default = "needed" if variable.required else f"`{variable.default}`"
        shown = default if variable.required or variable.default else "none"
        assert f"| `{variable.name}` | {shown} | {variable.description} |\n" in section
    assert section.count("\n| `") == len(spec.variables)
