/** The same calls over gRPC and over HTTP, against a real server. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  CallError,
  Client,
  DeniedError,
  enforce,
  HeldError,
  HttpClient,
  resume,
  UnavailableError,
  type DecisionRequest,
  type PolicyClient,
} from "pdp-client";
import { PdpServer } from "./support/pdp.js";

const CARD = "4111 1111 1111 1111";
const LONG = { timeoutMs: 60_000 };
const SQL = "1 UNION SELECT password FROM users";

let server: PdpServer;

before(async () => {
  server = await PdpServer.start();
  const rules = [
    {
      name: "ask the user",
      conditions: { actions: ["db:table:drop"] },
      action: { type: "PROMPT", prompt_message: "Drop the table?" },
    },
    {
      name: "ask a second person",
      conditions: { actions: ["db:prod:delete"] },
      action: { type: "ESCALATE", message: "Delete in production?" },
    },
  ];
  await server.post("/v1/policy-file/import", {
    policies: { packs: [{ name: "P", rules }], chain: { packs: ["P"] } },
  });
});

after(() => server.stop());

const TRANSPORTS: [string, () => PolicyClient][] = [
  ["gRPC", () => new Client(server.grpc, { ...LONG, tenant: "acme" })],
  ["HTTP", () => new HttpClient(server.http, { ...LONG, tenant: "acme" })],
];

for (const [name, connect] of TRANSPORTS) {
  describe(`over ${name}`, () => {
    let client: PolicyClient;
    before(() => {
      client = connect();
    });
    after(() => client.close());

    test("a harmless text passes", async () => {
      const decision = await client.decide({ text: "Hello", requestId: "r1", wantInputHash: true });
      assert.deepEqual(
        [decision.outcome, decision.allowed, decision.requestId, decision.redacted],
        ["ALLOW", true, "r1", false],
      );
      assert(decision.decisionId && decision.revision > 0 && decision.inputHash);
      assert.equal(enforce({ text: "Hello" }, decision).text, "Hello");
    });

    test("a text is redacted", async () => {
      const request = { text: `\u{1F600} My card is ${CARD}.` };
      const decision = await client.decide(request);
      assert.equal(decision.outcome, "REDACT");
      assert.equal(enforce(request, decision).text, "\u{1F600} My card is [REDACTED].");
      const [{ spans: [span] } = { spans: [] }] = decision.obligations.redact;
      assert.deepEqual([span?.start, span?.end], [13, 32]);
      assert(decision.warnings.length && decision.matches.length && decision.risk?.score);
    });

    test("arguments are redacted, and their numbers stay exact", async () => {
      const request = {
        tool: "post",
        arguments: { id: 1234567890123456789n, note: CARD, list: [1.5, null, true] },
        context: { big: 98765432109876543n },
        subject: { userId: "ann", groups: ["g"], attributes: { level: 3 }, riskScore: 0.5 },
        usage: { tokens: 3, costUsd: 0.1 },
        minRevision: 1,
        timestamp: new Date(),
      };
      const permit = enforce(request, await client.decide(request));
      assert.deepEqual(permit.arguments, { ...request.arguments, note: "[REDACTED]" });
    });

    test("a request is denied", async () => {
      const decision = await client.decide({ text: SQL, explain: true });
      assert.equal(decision.outcome, "BLOCK");
      assert(decision.reasonCode && decision.message && decision.raw.trace.length);
      assert.throws(() => enforce({ text: SQL }, decision), DeniedError);
    });

    test("a payload is redacted", async () => {
      const body = { model: "gpt-4o", messages: [{ role: "user", content: `Refund ${CARD}` }] };
      const decision = await client.decidePayload("openai.chat_completions", body);
      const request = { payload: { body: JSON.stringify(body) } };
      const sent = JSON.parse(enforce(request, decision).payload) as typeof body;
      assert.equal(sent.messages[0]?.content, "Refund [REDACTED]");
    });

    test("a batch has one decision for each request, in order", async () => {
      const texts = ["Hello", SQL, CARD];
      const decisions = await client.decideBatch(texts.map((text) => ({ text })));
      assert.deepEqual(decisions.map((each) => each.outcome), ["ALLOW", "BLOCK", "REDACT"]);
    });

    test("what a server refuses is an error with the fields", async () => {
      for (const request of [{ action: "DROP TABLE" }, { argumentsJson: "[1]" }]) {
        await assert.rejects(client.decide(request), (error) => {
          assert(error instanceof CallError && !(error instanceof UnavailableError));
          assert.equal(error.reason, "INVALID_ARGUMENT");
          assert.match(error.violations[0]?.field ?? "", /^(action|arguments_json)$/);
          assert(error.violations[0]?.reason);
          return true;
        });
      }
    });

    test("a revision that is not reached is no decision", async () => {
      const request = { minRevision: 1e9 };
      const options = { timeoutMs: 60_000, onUnavailable: "throw" } as const;
      if (client instanceof HttpClient) {
        await assert.rejects(client.decide(request, options), { reason: "REVISION_UNAVAILABLE" });
      } else {
        await assert.rejects(client.decide(request, { ...options, timeoutMs: 300 }), UnavailableError);
      }
    });

    test("a prompt holds a request until the user confirms it, once", async () => {
      const request: DecisionRequest = { action: "db:table:drop", tool: "sql", subject: { userId: name } };
      const held = await heldBy(client, request);
      assert.deepEqual(held.prompts, ["Drop the table?"]);
      const again = resume(request, held, { confirmed: true });
      assert.equal(enforce(again, await client.decide(again)).text, "");
      assert.equal((await client.decide(again)).reasonCode, "TOKEN_USED");
    });

    test("an approval holds a request", async () => {
      const request: DecisionRequest = { action: "db:prod:delete", subject: { userId: name } };
      const held = await heldBy(client, request);
      assert.equal(held.approval?.state, "pending");
      assert(held.approval.id && held.approval.token && held.approval.expiresAt);
      const again = await heldBy(client, resume(request, held));
      assert.equal(again.approval?.id, held.approval.id);
    });

    test("a simulation tries policies", async () => {
      const policies = {
        static_policies: [{ name: "No llamas", category: "custom", pattern: "llama", action: "block" }],
      };
      const request = { text: "a llama" };
      assert.equal((await client.simulate(request)).decision.outcome, "ALLOW");
      const { decision, layers } = await client.simulate(request, { policies });
      assert.equal(decision.outcome, "BLOCK");
      assert(layers.some((each) => each.layer === "static"));
    });

    test("a text in chunks is released redacted", async () => {
      const chunks = [`Your card is ${CARD.slice(0, 7)}`, CARD.slice(7), " \u{1F600}."];
      let released = "";
      for await (const each of client.filterText(chunks, { subject: { userId: "ann" } })) {
        released += each;
      }
      assert.equal(released, "Your card is [REDACTED] \u{1F600}.");
    });

    test("a text in chunks is stopped", async () => {
      const stream = client.openText({ direction: "input" });
      const sent = stream.push(SQL).then(() => stream.end());
      await assert.rejects(sent, DeniedError);
      assert.equal(stream.decision?.outcome, "BLOCK");
      await assert.rejects(stream.push("more"), DeniedError);
    });

    test("many calls at once get their own decisions", async () => {
      const requests = Array.from({ length: 40 }, (_, at) => ({ text: at % 2 ? SQL : `${at}` }));
      const decisions = await Promise.all(requests.map((each) => client.decide(each)));
      decisions.forEach((each, at) => assert.equal(each.allowed, at % 2 === 0));
    });
  });
}

test("gRPC releases a text while it arrives, HTTP at its end", async () => {
  const sentence = "The quick brown fox jumps over the lazy dog. ".repeat(20);
  for (const [, connect] of TRANSPORTS) {
    const client = connect();
    const stream = client.openText();
    const early = await stream.push(sentence);
    assert.equal(early !== "", client.hasStreams);
    assert.equal(early + (await stream.end()), sentence);
    client.close();
  }
});

async function heldBy(client: PolicyClient, request: DecisionRequest): Promise<HeldError> {
  try {
    enforce(request, await client.decide(request));
  } catch (error) {
    assert(error instanceof HeldError, String(error));
    return error;
  }
  return assert.fail("it was permitted");
}
