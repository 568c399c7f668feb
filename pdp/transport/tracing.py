"""OpenTelemetry: one span for each call, as a child of the caller's span (extra `otel`).

Without `PDP_OTEL_ENDPOINT`, this module is not imported and costs nothing. A span has ids, the RPC
and its status, but never a text, an argument or a credential.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp._gen.pdp.v1 import decide_pb2
from pdp.errors import ConfigError, PdpError

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from pdp.transport.call import Call, Endpoint

SERVICE_NAME: Final = "pdp"

_OUTCOME: Final = decide_pb2.Outcome.Name


class Tracing:
    """Creates spans, and sends them to a collector in batches from a background thread."""

    def __init__(self, endpoint: str, *, version: str) -> None:
        """Starts the background thread.

        Args:
            endpoint: the URL of the collector (OTLP over HTTP), such as `http://127.0.0.1:4318`.
            version: the version of this product.

        Raises:
            ConfigError: the extra is not installed, or the endpoint is not a URL.
        """
        if not endpoint.startswith(("http://", "https://")):
            raise ConfigError(
                f'PDP_OTEL_ENDPOINT: "{endpoint}" is not an HTTP URL. Set the URL of a collector, '
                "such as http://127.0.0.1:4318"
            )
        try:
            from opentelemetry import propagate, trace  # noqa: PLC0415 - an extra
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
                OTLPSpanExporter,
            )
            from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
            from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
            from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        except ImportError:
            raise ConfigError(
                "PDP_OTEL_ENDPOINT: OpenTelemetry is not installed. Install the extra "
                '"otel": pip install "pdp[otel]"'
            ) from None
        resource = Resource.create({"service.name": SERVICE_NAME, "service.version": version})
        self._provider = TracerProvider(resource=resource)
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer(SERVICE_NAME, version)
        self._extract: Any = propagate.extract
        self._trace: Any = trace

    def wrap(self, endpoint: Endpoint) -> Endpoint:
        """Returns an endpoint that creates a span for each call of `endpoint`."""
        kind, status = self._trace.SpanKind.SERVER, self._trace.Status
        error_code = self._trace.StatusCode.ERROR

        async def traced(call: Call, message: Message) -> Message:
            method = call.method
            attributes = {
                "rpc.system": call.transport,
                "rpc.service": method.service,
                "rpc.method": method.name,
            }
            with self._tracer.start_as_current_span(
                f"{method.service}/{method.name}",
                context=self._extract(call.metadata),
                kind=kind,
                attributes=attributes,
                record_exception=False,
                set_status_on_exception=False,
            ) as span:
                try:
                    response = await endpoint(call, message)
                except PdpError as error:
                    span.set_attribute("error.type", error.reason)
                    span.set_status(status(error_code, error.reason))
                    raise
                finally:
                    span.set_attribute("pdp.request_id", call.request_id)
                    span.set_attribute("pdp.tenant_id", call.tenant_id)
                if isinstance(response, decide_pb2.DecideResponse):
                    span.set_attribute("pdp.decision_id", response.decision_id)
                    span.set_attribute("pdp.outcome", _OUTCOME(response.outcome))
                    span.set_attribute("pdp.reason_code", response.reason_code)
                    span.set_attribute("pdp.revision", response.revision)
                return response

        return traced

    def close(self) -> None:
        """Sends the remaining spans; waits for the collector for at most 5 seconds."""
        self._provider.force_flush(timeout_millis=5000)
        self._provider.shutdown()
