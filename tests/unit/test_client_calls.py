"""The Python client: what it sends along, and telemetry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pdp_client as pdp
import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pdp_client import endpoints, telemetry

from tests.unit.test_client_faults import connect, is_unavailable, server

if TYPE_CHECKING:
    from tests.unit.test_client_faults import Connect, FakePdp

__all__ = ["connect", "server"]

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class TestMetadata:
    def test_ids_and_tenant(self, connect: Connect, server: FakePdp) -> None:
        client = connect(server.address, tenant="acme")
        decision = client.decide({})
        assert decision.request_id == server.requests[-1].request_id != ""
        assert server.metadata["x-request-id"] == decision.request_id
        assert server.requests[-1].tenant_id == "acme"
        assert client.decide({"request_id": "mine", "tenant_id": "own"}).request_id == "mine"
        assert server.requests[-1].tenant_id == "own"
        assert client.decide({"request_id": "ü"}).request_id == "ü"

    def test_the_request_of_the_caller_is_not_changed(
        self, connect: Connect, server: FakePdp
    ) -> None:
        request = pdp.DecideRequest()
        connect(server.address, tenant="acme").decide(request)
        assert request == pdp.DecideRequest()

    def test_credentials(
        self, connect: Connect, server: FakePdp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connect(server.address, api_key="k").decide({})
        assert server.metadata["x-api-key"] == "k"
        connect(server.address, token="t").decide({})
        assert server.metadata["authorization"] == "Bearer t"
        tokens = iter(["one", "two"])
        client = connect(server.address, token=lambda: next(tokens))
        client.decide({})
        client.decide({})
        assert server.metadata["authorization"] == "Bearer two"
        assert is_unavailable(client.decide({}))  # the function raises
        assert is_unavailable(connect(server.address, token=lambda: "").decide({}))
        monkeypatch.setenv("PDP_API_KEY", "of the environment")
        connect(server.address).decide({})
        assert server.metadata["x-api-key"] == "of the environment"

    def test_a_key_and_a_token(self) -> None:
        with pytest.raises(ValueError, match="not both"):
            pdp.Client("127.0.0.1:1", api_key="k", token=lambda: "t")

    async def test_a_token_that_must_be_waited_for(self, server: FakePdp) -> None:
        async def token() -> str:
            return "later"

        async with pdp.AsyncClient(server.address, token=token, timeout=60) as client:
            assert (await client.decide({})).allowed
        assert server.metadata["authorization"] == "Bearer later"


class TestTelemetry:
    @pytest.fixture
    def spans(self, monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
        exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
        return exporter

    def test_a_call_is_a_span(
        self, connect: Connect, server: FakePdp, spans: InMemorySpanExporter
    ) -> None:
        connect(server.address).decide({}, traceparent=PARENT)
        (span,) = spans.get_finished_spans()
        assert span.name == "pdp.v1.DecideService/Decide"
        assert span.attributes is not None
        assert span.attributes["pdp.outcome"] == "ALLOW"
        assert span.parent is not None
        assert f"{span.parent.span_id:016x}" == PARENT.split("-")[2]
        assert span.context is not None
        sent = server.metadata["traceparent"].split("-")
        assert sent[1:3] == [PARENT.split("-")[1], f"{span.context.span_id:016x}"]

    def test_the_duration_is_measured(
        self, connect: Connect, server: FakePdp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reader = InMemoryMetricReader()
        monkeypatch.setattr(metrics, "get_meter", MeterProvider([reader]).get_meter)
        connect(server.address).decide({})
        data = reader.get_metrics_data()
        assert data is not None
        (metric,) = data.resource_metrics[0].scope_metrics[0].metrics
        (point,) = metric.data.data_points
        assert metric.name == telemetry.DURATION
        assert point.attributes == {"rpc.method": "Decide", "pdp.outcome": "ALLOW"}

    def test_without_opentelemetry(
        self, connect: Connect, server: FakePdp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(telemetry, "trace", None)
        client = connect(server.address)
        client.decide({}, traceparent=PARENT)
        assert server.metadata["traceparent"] == PARENT
        with pdp.use_traceparent(PARENT):
            client.decide({})
        assert server.metadata["traceparent"] == PARENT
        client.decide({}, traceparent="no trace context")
        assert "traceparent" not in server.metadata


class TestAddresses:
    @pytest.mark.parametrize(
        ("address", "by_tls"),
        [
            ("127.0.0.1:50051", False),
            ("127.9.9.9:50051", False),
            ("localhost:50051", False),
            ("[::1]:50051", False),
            ("unix:/run/pdp.sock", False),
            ("pdp.example:50051", True),
            ("10.0.0.1:50051", True),
            ("localhost.example:50051", True),
            ("127.0.0.1.example:50051", True),
            ("dns:///pdp:50051", True),
        ],
    )
    def test_only_this_machine_is_called_in_plaintext(self, address: str, by_tls: bool) -> None:
        assert endpoints.Tls().is_for(address) is by_tls
        assert endpoints.Tls(server_name="pdp").is_for(address)
        assert not endpoints.Tls(use=False).is_for(address)

    def test_of_the_environment(self, monkeypatch: pytest.MonkeyPatch, server: FakePdp) -> None:
        monkeypatch.setenv("PDP_SERVER", f" {server.address}, ")
        with pdp.Client(timeout=60) as client:
            assert client.decide({}).allowed

    @pytest.mark.parametrize("options", [{"addresses": []}, {"timeout": 0}, {"addresses": [""]}])
    def test_bad_arguments(self, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"addresses|timeout"):
            pdp.Client(**options)
