/** The transport over HTTP, with answers that a test controls. */

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import {
  CallError,
  DeniedError,
  enforce,
  HttpClient,
  PDP_UNAVAILABLE,
  UnavailableError,
} from "pdp-client/http";

const LONG = { timeoutMs: 60_000 };
const SPAN = { start: 0, end: 1 };

/** Returns a client whose requests get these answers, and the bodies that it sends. */
function clientOf(...answers: [status: number, body: unknown][]) {
  const bodies: string[] = [];
  const fetch = async (_: string, { body }: RequestInit) => {
    bodies.push(String(body));
    const { request_id: requestId } = JSON.parse(String(body)) as { request_id: string };
    const [status, answer] = answers.shift() ?? [500, {}];
    const json = typeof answer === "object" ? { requestId, ...answer } : answer;
    return new Response(typeof json === "string" ? json : JSON.stringify(json), { status });
  };
  const client = new HttpClient("http://localhost:1", { ...LONG, fetch, resilience: { maxAttempts: 1 } });
  return { client, bodies };
}

test("answers that cannot be used are denials", async () => {
  const answers = [
    "not JSON",
    "null",
    {},
    { outcome: "ALLOW", allowed: true },
    { outcome: "OUTCOME_NEW", allowed: true },
    { outcome: "OUTCOME_BLOCK", allowed: true },
    { outcome: "OUTCOME_ALLOW" },
    { outcome: "OUTCOME_ALLOW", allowed: true, requestId: "other" },
    { outcome: "OUTCOME_ALLOW", allowed: "yes" },
  ];
  for (const answer of answers) {
    const { client } = clientOf([200, answer]);
    const decision = await client.decide({});
    assert.deepEqual([decision.allowed, decision.reasonCode], [false, PDP_UNAVAILABLE]);
  }
});

test("an obligation with a member that is not known is a denial", async () => {
  const redact = { type: "OBLIGATION_TYPE_REDACT", replacement: "x", spans: [SPAN] };
  const answer = (obligation: object) => ({
    outcome: "OUTCOME_REDACT",
    allowed: true,
    redactedText: "x",
    obligations: [obligation],
    aNewMember: 1,
  });
  const obligations: [object, boolean][] = [
    [redact, true],
    [{ ...redact, alsoNotify: "ann" }, false],
    [{ ...redact, spans: [{ ...SPAN, inComment: true }] }, false],
    [{ ...redact, type: "OBLIGATION_TYPE_NEW" }, false],
  ];
  for (const [obligation, passes] of obligations) {
    const { client } = clientOf([200, answer(obligation)]);
    const decision = await client.decide({ text: "a" });
    if (passes) assert.equal(enforce({ text: "a" }, decision).text, "x");
    else assert.throws(() => enforce({ text: "a" }, decision), DeniedError);
  }
});

test("errors are errors, and the server's faults are denials", async () => {
  const details = [{ field: "tool", reason: "too long" }];
  const error = { code: "INVALID_ARGUMENT", message: "tool: too long", details };
  const { client } = clientOf([400, { error }], [503, "<html>"], [502, {}], [504, {}], [302, ""]);
  await assert.rejects(client.decide({}), (thrown) => {
    assert(thrown instanceof CallError && !(thrown instanceof UnavailableError));
    assert.deepEqual([thrown.reason, thrown.violations], ["INVALID_ARGUMENT", details]);
    return true;
  });
  for (let each = 0; each < 4; each++) {
    assert.equal((await client.decide({})).reasonCode, PDP_UNAVAILABLE);
  }
});

test("JSON text is sent as it is, and cannot add members", async () => {
  const { client, bodies } = clientOf();
  await client.decide({ argumentsJson: '{"a": 1.0, "b": 12345678901234567890}', requestId: "r" });
  assert.equal(bodies[0], '{"request_id":"r","arguments":{"a": 1.0, "b": 12345678901234567890}}');
  for (const argumentsJson of ['{}, "tokens": []', "{", "1", "", "[]"]) {
    const refused = client.decide({ argumentsJson });
    if (argumentsJson) await assert.rejects(refused, { reason: "INVALID_ARGUMENT" });
    else await refused;
  }
});

test("a server that is down or slow is a denial", async () => {
  const server = createServer(() => undefined).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const client = new HttpClient(url, { timeoutMs: 200 });
  assert.equal((await client.decide({})).failure?.code, "DEADLINE_EXCEEDED");
  server.closeAllConnections();
  server.close();
  await once(server, "close");
  const { failure } = await client.decide({ tokens: ["t"] }, LONG);
  assert.match(failure?.message ?? "", /ECONNREFUSED/);
});

test("plain HTTP to another machine must be asked for", () => {
  assert.throws(() => new HttpClient("http://pdp.example"), /use https/);
  assert.throws(() => new HttpClient("ftp://pdp.example"), /http or https/);
  assert.throws(() => new HttpClient("pdp.example"), TypeError);
  for (const url of ["https://pdp.example", "http://127.0.0.1:8080", "http://[::1]:8080"]) {
    new HttpClient(url).close();
  }
  new HttpClient("http://pdp.example", { plaintext: true }).close();
});
