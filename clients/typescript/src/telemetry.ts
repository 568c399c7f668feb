/** Spans, metrics and trace context of OpenTelemetry, if its API is installed. */

import type * as Otel from "@opentelemetry/api";
import type { Decision } from "./decision.js";

const NAME = "pdp-client";

/** The W3C trace context of a call. Without it, that of the active span is sent. */
export interface TraceContext {
  /** The header `traceparent`. */
  readonly traceparent?: string;
  /** The header `tracestate`. */
  readonly tracestate?: string;
}

/** Work that gets the headers of its span. */
export type Traced<T> = (headers: Record<string, string>) => Promise<T>;

let loading: Promise<typeof Otel | undefined> | undefined;

function load(): Promise<typeof Otel | undefined> {
  // The name is a variable, so that bundlers do not require the package.
  const name = "@opentelemetry/api";
  loading ??= import(name).then(
    (api: typeof Otel) => api,
    () => undefined,
  );
  return loading;
}

/**
 * Runs a call in a span.
 *
 * @param name - the name of the method.
 * @param context - the trace context that the caller gives; it takes precedence.
 * @param work - gets the headers of the trace context.
 * @param decisionsOf - the decisions in the result of the work.
 */
export async function traced<T>(
  name: string,
  context: TraceContext,
  work: Traced<T>,
  decisionsOf: (result: T) => readonly Decision[],
): Promise<T> {
  const api = await load();
  if (!api) return work(headersOf(context));
  const { trace, propagation, metrics, SpanKind, SpanStatusCode } = api;
  const parent = context.traceparent
    ? propagation.extract(api.context.active(), headersOf(context))
    : api.context.active();
  const span = trace.getTracer(NAME).startSpan(`pdp ${name}`, { kind: SpanKind.CLIENT }, parent);
  const started = performance.now();
  let outcome = "ERROR";
  try {
    const carrier: Record<string, string> = {};
    propagation.inject(trace.setSpan(parent, span), carrier);
    const result = await work({ ...headersOf(context), ...lowerCase(carrier) });
    const [first] = decisionsOf(result);
    outcome = first?.outcome ?? "NONE";
    if (first) {
      span.setAttributes({ "pdp.outcome": outcome, "pdp.decision_id": first.decisionId });
      if (first.reasonCode) span.setAttribute("pdp.reason_code", first.reasonCode);
      if (first.failure) span.recordException(first.failure);
    }
    return result;
  } catch (error) {
    if (error instanceof Error) span.recordException(error);
    span.setStatus({ code: SpanStatusCode.ERROR });
    throw error;
  } finally {
    span.end();
    metrics
      .getMeter(NAME)
      .createHistogram("pdp.client.duration", { unit: "ms", description: "Duration of a call" })
      .record(performance.now() - started, { "pdp.method": name, "pdp.outcome": outcome });
  }
}

function headersOf({ traceparent, tracestate }: TraceContext): Record<string, string> {
  return { ...(traceparent && { traceparent }), ...(tracestate && { tracestate }) };
}

function lowerCase(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
  );
}
