package dev.pdp.client;

import io.grpc.Metadata;
import io.opentelemetry.api.GlobalOpenTelemetry;
import io.opentelemetry.api.OpenTelemetry;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.common.AttributesBuilder;
import io.opentelemetry.api.metrics.DoubleHistogram;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.propagation.W3CTraceContextPropagator;
import io.opentelemetry.context.Context;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/** Reports calls to OpenTelemetry: a span, and the duration. A denial is not an error. */
final class OpenTelemetryReports implements Telemetry {
  private static final String SCOPE = "dev.pdp.client";

  private final Supplier<OpenTelemetry> openTelemetry;

  private OpenTelemetryReports(Supplier<OpenTelemetry> openTelemetry) {
    this.openTelemetry = openTelemetry;
  }

  /** Returns reports to the global instance, once there is one. */
  static Telemetry global() {
    return new OpenTelemetryReports(
        () -> {
          try {
            return GlobalOpenTelemetry.isSet() ? GlobalOpenTelemetry.get() : OpenTelemetry.noop();
          } catch (LinkageError old) { // An older version of the API does not have the method.
            return OpenTelemetry.noop();
          }
        });
  }

  static Telemetry of(OpenTelemetry openTelemetry) {
    return new OpenTelemetryReports(() -> openTelemetry);
  }

  @Override
  public Observed start(String method) {
    OpenTelemetry current = openTelemetry.get();
    Span span =
        current
            .getTracer(SCOPE)
            .spanBuilder(method)
            .setSpanKind(SpanKind.CLIENT)
            .setAttribute("rpc.system", "grpc")
            .setAttribute("rpc.method", method)
            .startSpan();
    DoubleHistogram duration =
        current.getMeter(SCOPE).histogramBuilder("pdp.client.duration").setUnit("s").build();
    return new Report(method, span, duration, Context.current().with(span), System.nanoTime());
  }

  private record Report(
      String method, Span span, DoubleHistogram duration, Context context, long startedAt)
      implements Observed {
    @Override
    public void inject(Metadata metadata) {
      W3CTraceContextPropagator.getInstance()
          .inject(
              context,
              metadata,
              (carrier, name, value) ->
                  carrier.put(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER), value));
    }

    @Override
    public void end(Decision decision) {
      span.setAttribute("pdp.outcome", decision.outcome().name());
      span.setAttribute("pdp.decision_id", decision.decisionId());
      span.setAttribute("pdp.reason_code", decision.reasonCode());
      if (decision.unavailable()) {
        span.setStatus(StatusCode.ERROR, decision.reasonCode());
      }
      finish(decision.outcome().name());
    }

    @Override
    public void end(Throwable error) {
      if (error != null) {
        span.setStatus(StatusCode.ERROR, PdpException.of(error).reason());
        finish("error");
      } else {
        finish("");
      }
    }

    private void finish(String outcome) {
      AttributesBuilder attributes = Attributes.builder().put("rpc.method", method);
      if (!outcome.isEmpty()) {
        attributes.put("pdp.outcome", outcome);
      }
      double seconds = (System.nanoTime() - startedAt) / (double) TimeUnit.SECONDS.toNanos(1);
      duration.record(seconds, attributes.build(), context);
      span.end();
    }
  }
}
