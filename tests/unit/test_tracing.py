"""Tests the spans that a real collector receives."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.errors import ConfigError, InvalidArgument
from pdp.transport.call import Call
from pdp.transport.methods import methods
from pdp.transport.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.message import Message

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT_ID = "b7ad6b7169203331"
SECRET = "4111111111111111"


class Collector:
    """An OTLP collector on a real socket."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.bodies: list[bytes] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.paths.append(self.path)
                outer.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Logs nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def spans(self) -> list[Any]:
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [
            span
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.server.shutdown()
    collector.thread.join()
    collector.server.server_close()


def call(**metadata: str) -> Call:
    decide = next(method for method in methods() if method.name == "Decide")
    return Call(decide, metadata, "grpc", request_id="r1", tenant_id="acme")


def attributes(span: Any) -> dict[str, Any]:
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes
    }


async def test_the_span_of_a_decision_is_a_child_of_the_callers_span(collector: Collector) -> None:
    async def endpoint(call: Call, message: Message) -> Message:
        return pb.DecideResponse(
            decision_id="d1", outcome=pb.OUTCOME_BLOCK, reason_code="NO", revision=7
        )

    tracing = Tracing(collector.endpoint, version="1")
    request = pb.DecideRequest(content=pb.Content(text=SECRET))
    parent = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01"}
    await tracing.wrap(endpoint)(call(**parent, authorization="Bearer s3cret"), request)
    tracing.close()
    [span] = collector.spans()
    assert collector.paths == ["/v1/traces"]
    assert span.name == "pdp.v1.DecideService/Decide"
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE_ID, PARENT_ID)
    assert attributes(span) == {
        "rpc.system": "grpc",
        "rpc.service": "pdp.v1.DecideService",
        "rpc.method": "Decide",
        "pdp.request_id": "r1",
        "pdp.tenant_id": "acme",
        "pdp.decision_id": "d1",
        "pdp.outcome": "OUTCOME_BLOCK",
        "pdp.reason_code": "NO",
        "pdp.revision": 7,
    }
    bodies = b"".join(collector.bodies)
    assert SECRET.encode() not in bodies
    assert b"s3cret" not in bodies


async def test_the_span_of_an_error_has_no_message(collector: Collector) -> None:
    async def endpoint(call: Call, message: Message) -> Message:
        raise InvalidArgument(f"text: {SECRET} is too long")

    tracing = Tracing(collector.endpoint, version="1")
    with pytest.raises(InvalidArgument):
        await tracing.wrap(endpoint)(call(), pb.DecideRequest())
    tracing.close()
    [span] = collector.spans()
    assert span.status.code == 2
    assert attributes(span)["error.type"] == "INVALID_ARGUMENT"
    assert SECRET.encode() not in b"".join(collector.bodies)


def test_an_endpoint_that_is_not_a_url_is_refused() -> None:
    with pytest.raises(ConfigError, match="PDP_OTEL_ENDPOINT"):
        Tracing("collector:4318", version="1")
