// Package otelpdp describes the calls of a client to OpenTelemetry: a span and a duration for each.
//
//	client, err := pdp.NewClient(address, pdp.WithTelemetry(otelpdp.New()))
package otelpdp

import (
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	pdp "pdp.dev/client-go"
)

const (
	// Name is the name of the tracer and of the meter.
	Name = "pdp.dev/client-go"

	// Duration is the name of the metric: the duration of calls in seconds.
	Duration = "pdp.client.duration"
)

// Option is a setting of the telemetry.
type Option func(*settings)

type settings struct {
	tracers trace.TracerProvider
	meters  metric.MeterProvider
}

// WithTracerProvider sets where the spans go; by default to the global provider.
func WithTracerProvider(provider trace.TracerProvider) Option {
	return func(s *settings) { s.tracers = provider }
}

// WithMeterProvider sets where the durations go; by default to the global provider.
func WithMeterProvider(provider metric.MeterProvider) Option {
	return func(s *settings) { s.meters = provider }
}

type telemetry struct {
	tracer   trace.Tracer
	duration metric.Float64Histogram
}

// New returns a telemetry for pdp.WithTelemetry.
func New(options ...Option) pdp.Telemetry {
	s := settings{tracers: otel.GetTracerProvider(), meters: otel.GetMeterProvider()}
	for _, option := range options {
		option(&s)
	}
	duration, err := s.meters.Meter(Name).Float64Histogram(
		Duration, metric.WithUnit("s"), metric.WithDescription("Duration of calls of the PDP"),
	)
	if err != nil {
		otel.Handle(err)
	}
	return &telemetry{s.tracers.Tracer(Name), duration}
}

// Start begins the span of a call, and sends its trace context to the server. Its parent is the current
// span or, without one, the trace context of pdp.ContextWithTraceparent.
func (t *telemetry) Start(
	ctx context.Context, method string,
) (context.Context, func(outcome string, err error)) {
	started := time.Now()
	service, name, _ := strings.Cut(method, "/")
	ctx, span := t.tracer.Start(withRemoteParent(ctx), method,
		trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(
			attribute.String("rpc.system", "grpc"),
			attribute.String("rpc.service", service),
			attribute.String("rpc.method", name),
		),
	)
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	traced := pdp.ContextWithTraceparent(ctx, carrier["traceparent"], carrier["tracestate"])
	return traced, func(outcome string, err error) {
		if err != nil {
			outcome = "ERROR"
			span.RecordError(err)
			span.SetStatus(codes.Error, err.Error())
		}
		result := attribute.String("pdp.outcome", outcome)
		span.SetAttributes(result)
		if t.duration != nil {
			t.duration.Record(ctx, time.Since(started).Seconds(),
				metric.WithAttributes(attribute.String("rpc.method", name), result))
		}
		span.End()
	}
}

func withRemoteParent(ctx context.Context) context.Context {
	parent, state := pdp.Traceparent(ctx)
	if parent == "" || trace.SpanContextFromContext(ctx).IsValid() {
		return ctx
	}
	carrier := propagation.MapCarrier{"traceparent": parent, "tracestate": state}
	return propagation.TraceContext{}.Extract(ctx, carrier)
}
