package dev.pdp.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Metadata;
import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.context.Scope;
import io.opentelemetry.sdk.OpenTelemetrySdk;
import io.opentelemetry.sdk.metrics.SdkMeterProvider;
import io.opentelemetry.sdk.testing.exporter.InMemoryMetricReader;
import io.opentelemetry.sdk.testing.exporter.InMemorySpanExporter;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.opentelemetry.sdk.trace.export.SimpleSpanProcessor;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Calls are spans of the trace of the caller. */
class TelemetryTest {
  @Test
  void aCallIsASpan() throws Exception {
    InMemorySpanExporter spans = InMemorySpanExporter.create();
    InMemoryMetricReader metrics = InMemoryMetricReader.create();
    try (OpenTelemetrySdk sdk =
            OpenTelemetrySdk.builder()
                .setTracerProvider(
                    SdkTracerProvider.builder()
                        .addSpanProcessor(SimpleSpanProcessor.create(spans))
                        .build())
                .setMeterProvider(SdkMeterProvider.builder().registerMetricReader(metrics).build())
                .build();
        FakeServer server = new FakeServer();
        PdpClient client =
            PdpClient.builder(server.address())
                .timeout(Duration.ofSeconds(60))
                .telemetry(OpenTelemetryReports.of(sdk))
                .build()) {
      Span parent = sdk.getTracer("test").spanBuilder("parent").startSpan();
      try (Scope scope = parent.makeCurrent()) {
        client.decide(DecisionRequest.ofText("hello"));
      }
      SpanData span = spans.getFinishedSpanItems().get(0);
      assertEquals("pdp.v1.DecideService/Decide", span.getName());
      assertEquals(parent.getSpanContext().getSpanId(), span.getParentSpanId());
      assertEquals("ALLOW", span.getAttributes().get(AttributeKey.stringKey("pdp.outcome")));
      String traceparent =
          server
              .metadata
              .get(0)
              .get(Metadata.Key.of("traceparent", Metadata.ASCII_STRING_MARSHALLER));
      assertTrue(
          traceparent.startsWith("00-" + span.getTraceId() + "-" + span.getSpanId() + "-"),
          traceparent);
      server.behaviour = FakeServer.failing(io.grpc.Status.INTERNAL);
      client.decide(DecisionRequest.ofText("hello"));
      SpanData failed = spans.getFinishedSpanItems().get(1);
      assertEquals(StatusCode.ERROR, failed.getStatus().getStatusCode());
      assertTrue(
          metrics.collectAllMetrics().stream()
              .anyMatch(each -> each.getName().equals("pdp.client.duration")));
      client.decideBatch(List.of(DecisionRequest.ofText("hello")));
      client.openTextStream(DecisionRequest.ofText("")).close();
      assertEquals(4, spans.getFinishedSpanItems().size());
    }
  }
}
