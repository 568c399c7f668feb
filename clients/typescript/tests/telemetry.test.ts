import assert from "node:assert/strict";
import { after, test } from "node:test";
import { context, propagation, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { Client } from "pdp-client";
import { FakeServer } from "./support/fake.js";

const exporter = new InMemorySpanExporter();
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
propagation.setGlobalPropagator(new W3CTraceContextPropagator());
trace.setGlobalTracerProvider(
  new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
);

const server = await new FakeServer().start();
const client = new Client(server.address, { timeoutMs: 60_000 });
after(() => {
  client.close();
  server.stop();
});

test("a call is a span of the active trace, and the server gets its context", async () => {
  exporter.reset();
  await trace.getTracer("test").startActiveSpan("outer", async (outer) => {
    await client.decide({ text: "hi" });
    outer.end();
  });
  const [span, outer] = exporter.getFinishedSpans();
  assert.equal(span?.name, "pdp Decide");
  assert.equal(span.attributes["pdp.outcome"], "ALLOW");
  assert.equal(span.parentSpanContext?.spanId, outer?.spanContext().spanId);
  const { traceId, spanId } = span.spanContext();
  const traceparent = String(server.metadata.at(-1)?.get("traceparent")[0]);
  assert.equal(traceparent, `00-${traceId}-${spanId}-01`);
});

test("the trace context that the caller gives is the parent", async () => {
  exporter.reset();
  const traceId = "0af7651916cd43dd8448eb211c80319c";
  await client.decide({}, { traceparent: `00-${traceId}-b7ad6b7169203331-01` });
  assert.equal(exporter.getFinishedSpans()[0]?.spanContext().traceId, traceId);
  assert.match(String(server.metadata.at(-1)?.get("traceparent")[0]), new RegExp(traceId));
});

test("an error is recorded", async () => {
  exporter.reset();
  server.onDecide = () => ({ code: 3, details: "no" });
  await assert.rejects(client.decide({}));
  const [span] = exporter.getFinishedSpans();
  assert.equal(span?.events[0]?.name, "exception");
});
