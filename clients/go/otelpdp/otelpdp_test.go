package otelpdp_test

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	pdp "pdp.dev/client-go"
	"pdp.dev/client-go/otelpdp"
)

func TestSpansAndDurations(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	reader := metric.NewManualReader()
	telemetry := otelpdp.New(
		otelpdp.WithTracerProvider(trace.NewTracerProvider(trace.WithSpanProcessor(spans))),
		otelpdp.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(reader))),
	)
	parent := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	ctx := pdp.ContextWithTraceparent(t.Context(), parent, "")
	traced, end := telemetry.Start(ctx, "pdp.v1.DecideService/Decide")
	end("REDACT", nil)
	sent, _ := pdp.Traceparent(traced)
	if sent == parent || !strings.HasPrefix(sent, parent[:36]) {
		t.Errorf("the server gets %q, want another span of %q", sent, parent)
	}
	_, end = telemetry.Start(context.Background(), "pdp.v1.DecideService/Decide")
	end("", errors.New("no answer"))
	ended := spans.Ended()
	if len(ended) != 2 || ended[0].Parent().SpanID().String() != "b7ad6b7169203331" ||
		ended[1].Status().Code != codes.Error {
		t.Errorf("got %v", ended)
	}
	var metrics metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &metrics); err != nil {
		t.Fatal(err)
	}
	if got := metrics.ScopeMetrics[0].Metrics[0].Name; got != otelpdp.Duration {
		t.Errorf("got the metric %q", got)
	}
}

func TestTheClientTracesItsCalls(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(spans))
	client, err := pdp.NewClient("127.0.0.1:1",
		pdp.WithTelemetry(otelpdp.New(otelpdp.WithTracerProvider(provider))))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Decide(t.Context(), pdp.Request{}); err != nil {
		t.Fatal(err)
	}
	if ended := spans.Ended(); len(ended) != 1 || ended[0].Name() != "pdp.v1.DecideService/Decide" {
		t.Errorf("got %v", ended)
	}
}

func TestTheClientDoesNotNeedOpenTelemetry(t *testing.T) {
	output, err := exec.Command("go", "list", "-deps", "pdp.dev/client-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(output), "go.opentelemetry.io") {
		t.Error("pdp.dev/client-go depends on OpenTelemetry")
	}
}
