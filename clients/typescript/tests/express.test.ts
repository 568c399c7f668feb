import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { Client } from "pdp-client";
import { pdpMiddleware, type MiddlewareOptions, type PdpLocals } from "pdp-client/express";
import { ObligationType, Outcome } from "#internal/gen/pdp/v1/decide_pb";
import { allow, FakeServer } from "./support/fake.js";
import { PdpServer } from "./support/pdp.js";
import { loadExpress } from "./support/express.js";

const express = await loadExpress();
const CARD = "4111 1111 1111 1111";

interface Answer {
  status: number;
  headers: Headers;
  body: { error?: Record<string, unknown>; body?: unknown; text?: string };
}

/** Sends a request to a program with the middleware. */
async function ask(
  client: Client,
  body: unknown,
  options: MiddlewareOptions<{ body?: unknown }> = {},
): Promise<Answer> {
  const app = express();
  app.use(express.json(), pdpMiddleware(client, options));
  app.post("/", (request, response) => {
    const pdp = response.locals["pdp"] as PdpLocals | undefined;
    response.json({ body: request.body, text: pdp?.permit.text });
  });
  app.use((error, _request, response, _next) => {
    response.status(500);
    response.json({ error: { code: error.reason ?? String(error) } });
  });
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const response = await fetch(`http://127.0.0.1:${port}/`, {
    method: "POST",
    headers: { "content-type": "application/json", connection: "close" },
    body: JSON.stringify(body),
  });
  const answer = { status: response.status, headers: response.headers, body: await response.json() };
  server.close();
  return answer as Answer;
}

describe("with a real server", () => {
  let server: PdpServer;
  let client: Client;
  before(async () => {
    server = await PdpServer.start();
    client = new Client(server.grpc, { timeoutMs: 60_000 });
  });
  after(async () => {
    client.close();
    await server.stop();
  });

  test("the handler gets the redacted body", async () => {
    const { status, body } = await ask(client, { note: `card ${CARD}`, n: 1 });
    assert.equal(status, 200);
    assert.deepEqual(body.body, { note: "card [REDACTED]", n: 1 });
  });

  test("a body that must not pass is answered", async () => {
    const { status, body } = await ask(client, { q: "1 UNION SELECT password FROM users" });
    assert.equal(status, 403);
    assert.equal(body.error?.["code"], "STATIC_POLICY_BLOCK");
    assert(body.error["message"] && body.error["decision_id"]);
  });

  test("a request of one's own is judged, and what is redacted must be applied", async () => {
    const request = ({ body }: { body?: unknown }) => ({ text: (body as { q: string }).q });
    assert.equal((await ask(client, { q: "Hello" }, { request })).body.text, "Hello");
    assert.equal((await ask(client, { q: CARD }, { request })).status, 403);
    const apply: MiddlewareOptions["apply"] = (each, { text }) => (each.body = { q: text });
    const { body } = await ask(client, { q: CARD }, { request, apply });
    assert.deepEqual(body.body, { q: "[REDACTED]" });
  });

  test("a request that is not to be judged passes", async () => {
    assert.equal((await ask(client, { q: CARD }, { request: () => undefined })).status, 200);
  });

  test("a request that the server refuses goes to the error handlers", async () => {
    const { status, body } = await ask(client, {}, { request: () => ({ action: "DROP TABLE" }) });
    assert.deepEqual([status, body.error?.["code"]], [500, "INVALID_ARGUMENT"]);
  });
});

describe("with other decisions", () => {
  async function askFake(onDecide: FakeServer["onDecide"], options: MiddlewareOptions = {}) {
    const server = await new FakeServer().start();
    server.onDecide = onDecide;
    const client = new Client(server.address, { timeoutMs: 60_000 });
    const answer = await ask(client, { q: 1 }, options);
    client.close();
    server.stop();
    return answer;
  }

  test("no decision is an answer with 503", async () => {
    const { status, body } = await askFake(() => ({ code: 14, details: "busy" }));
    assert.deepEqual([status, body.error?.["code"]], [503, "PDP_UNAVAILABLE"]);
  });

  test("a limit says when to try again", async () => {
    const { status, headers } = await askFake(({ requestId }) => ({
      requestId,
      outcome: Outcome.BLOCK,
      statusHint: 429,
      retryAfterS: 7,
    }));
    assert.deepEqual([status, headers.get("retry-after")], [429, "7"]);
  });

  test("a request that is held says for whom, without the token", async () => {
    const { status, body } = await askFake(({ requestId }) => ({
      requestId,
      outcome: Outcome.ESCALATE,
      statusHint: 403,
      obligations: [
        {
          type: ObligationType.APPROVAL,
          approvalId: "a1",
          token: "secret",
          approvalState: "pending",
          expiresAt: { seconds: 4102444800n },
        },
      ],
    }));
    assert.equal(status, 403);
    assert.deepEqual(body.error?.["approval"], {
      id: "a1",
      state: "pending",
      expires_at: "2100-01-01T00:00:00.000Z",
    });
    assert.doesNotMatch(JSON.stringify(body), /secret/);
  });

  test("what nothing here can fulfil is refused", async () => {
    const obligations = [
      { type: ObligationType.ROUTE_TO, model: "small" },
      { type: ObligationType.MASK_FIELDS, fields: ["ssn"] },
    ];
    const about = () => ({ target: { fields: ["ssn"] } });
    for (const each of obligations) {
      const { status } = await askFake(
        (request) => allow(request, { payloadFormat: "json", obligations: [each] }),
        { about },
      );
      assert.equal(status, 403);
    }
  });
});
