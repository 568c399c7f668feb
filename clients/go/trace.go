package pdp

import (
	"context"
	"strings"
)

// Telemetry describes the calls of a client. The package otelpdp has one for OpenTelemetry.
type Telemetry interface {
	// Start begins a call. The method is its full name, for instance pdp.v1.DecideService/Decide.
	//
	// The context that it returns is used for the call. If it has a trace context, see
	// [ContextWithTraceparent], the server gets that. The function ends the call: with its outcome,
	// for instance BLOCK, or with its error.
	Start(ctx context.Context, method string) (context.Context, func(outcome string, err error))
}

type noTelemetry struct{}

func (noTelemetry) Start(
	ctx context.Context, _ string,
) (context.Context, func(outcome string, err error)) {
	return ctx, func(string, error) {}
}

type traceKey struct{}

type traceContext struct {
	parent, state string
}

// ContextWithTraceparent returns a context whose calls send a W3C trace context to the server.
//
// The traceparent is the header as it was received; if it is malformed, it is ignored. The tracestate
// can be empty.
func ContextWithTraceparent(ctx context.Context, traceparent, tracestate string) context.Context {
	if !isTraceparent(traceparent) {
		return ctx
	}
	if !isPrintable(tracestate) {
		tracestate = ""
	}
	return context.WithValue(ctx, traceKey{}, traceContext{traceparent, tracestate})
}

// Traceparent returns the W3C trace context of a context; both are empty if it has none.
func Traceparent(ctx context.Context) (traceparent, tracestate string) {
	trace, _ := ctx.Value(traceKey{}).(traceContext)
	return trace.parent, trace.state
}

// isTraceparent reports whether a text has the form 00-{32 digits}-{16 digits}-{2 digits}.
func isTraceparent(text string) bool {
	parts := strings.Split(text, "-")
	if len(parts) != 4 {
		return false
	}
	for index, length := range [...]int{2, 32, 16, 2} {
		if len(parts[index]) != length || strings.Trim(parts[index], "0123456789abcdef") != "" {
			return false
		}
	}
	return true
}

// isPrintable reports whether a text can be the value of metadata: ASCII without control characters.
func isPrintable(text string) bool {
	for index := range len(text) {
		if text[index] < ' ' || text[index] > '~' {
			return false
		}
	}
	return true
}
