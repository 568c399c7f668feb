import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import OpenAI from "openai";
import { Client, DeniedError, HeldError, HttpClient, type PolicyClient } from "pdp-client";
import { guardOpenAI, type OpenAIOptions } from "pdp-client/openai";
import { PdpServer } from "./support/pdp.js";

const CARD = "4111 1111 1111 1111";
const SQL = "1 UNION SELECT password FROM users";

/** A provider of models: it answers with texts that a test sets. */
class Provider {
  answer: string[] = ["Hello"];
  toolCall: string[] = [];
  readonly bodies: { model: string; stream?: boolean; messages: { content: string }[] }[] = [];
  readonly #server: Server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    const body = JSON.parse(text) as (typeof this.bodies)[0];
    this.bodies.push(body);
    const base = { id: "c1", created: 1, model: body.model };
    const call = (part: string) => ({
      id: "call1",
      type: "function",
      function: { name: "run", arguments: part },
    });
    if (!body.stream) {
      const tool_calls = this.toolCall.length ? [call(this.toolCall.join(""))] : undefined;
      const message = { role: "assistant", content: this.answer.join(""), tool_calls };
      response.setHeader("content-type", "application/json");
      const choices = [{ index: 0, message, finish_reason: "stop" }];
      response.end(JSON.stringify({ ...base, object: "chat.completion", choices }));
      return;
    }
    response.setHeader("content-type", "text/event-stream");
    const send = (delta: object, finish_reason: string | null = null) => {
      const choices = [{ index: 0, delta, finish_reason }];
      const event = { ...base, object: "chat.completion.chunk", choices };
      response.write(`data: ${JSON.stringify(event)}\n\n`);
    };
    send({ role: "assistant", content: "" });
    for (const content of this.answer) send({ content });
    for (const [at, part] of this.toolCall.entries()) {
      const { function: { arguments: text }, ...head } = call(part);
      const first = { ...head, function: { name: "run", arguments: text } };
      send({ tool_calls: [{ index: 0, ...(at ? { function: { arguments: text } } : first) }] });
    }
    send({}, "stop");
    response.end("data: [DONE]\n\n");
  });

  async start(): Promise<OpenAI> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    const { port } = this.#server.address() as AddressInfo;
    return new OpenAI({ apiKey: "key", baseURL: `http://127.0.0.1:${port}/v1`, maxRetries: 0 });
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

function body(content: string) {
  return { model: "gpt-4o", messages: [{ role: "user" as const, content }] };
}

describe("chat completions", () => {
  let server: PdpServer;
  let provider: Provider;
  let openai: OpenAI;
  const clients: PolicyClient[] = [];

  before(async () => {
    server = await PdpServer.start();
    provider = new Provider();
    openai = await provider.start();
    clients.push(new Client(server.grpc, { timeoutMs: 60_000, tenant: "acme" }));
    clients.push(new HttpClient(server.http, { timeoutMs: 60_000, tenant: "acme" }));
    const rules = [
      {
        name: "small",
        conditions: { content_regex: "small-word" },
        action: { type: "ROUTE_TO", route_to_model: "openai/gpt-4o-mini" },
      },
      {
        name: "elsewhere",
        conditions: { content_regex: "other-word" },
        action: { type: "ROUTE_TO", route_to_model: "anthropic/claude-haiku-4-5" },
      },
    ];
    await server.post("/v1/policy-file/import", {
      policies: { packs: [{ name: "P", rules }], chain: { packs: ["P"] } },
    });
  });

  after(async () => {
    for (const each of clients) each.close();
    provider.stop();
    await server.stop();
  });

  async function withClients(
    work: (guarded: ReturnType<typeof guardOpenAI<OpenAI>>, client: PolicyClient) => Promise<void>,
    options: OpenAIOptions = {},
  ): Promise<void> {
    for (const client of clients) {
      provider.answer = ["Hello"];
      provider.toolCall = [];
      provider.bodies.length = 0;
      await work(guardOpenAI(openai, client, options), client);
    }
  }

  async function streamed(guarded: ReturnType<typeof guardOpenAI<OpenAI>>) {
    const stream = await guarded.chat.completions.create({ ...body("hi"), stream: true });
    let text = "";
    let call = "";
    let events = 0;
    for await (const event of stream) {
      text += event.choices[0]?.delta.content ?? "";
      call += event.choices[0]?.delta.tool_calls?.[0]?.function?.arguments ?? "";
      events++;
    }
    return { text, call, events };
  }

  test("the request goes out redacted", async () => {
    const warnings: string[] = [];
    await withClients(
      async (guarded) => {
        const answer = await guarded.chat.completions.create(body(`Refund ${CARD}`));
        assert.equal(answer.choices[0]?.message.content, "Hello");
        assert.equal(provider.bodies[0]?.messages[0]?.content, "Refund [REDACTED]");
      },
      { request: () => ({ subject: { userId: "ann" } }), onWarnings: (each) => warnings.push(...each) },
    );
    assert(warnings.length > 0);
  });

  test("a request that must not pass does not go out", async () => {
    await withClients(async (guarded) => {
      await assert.rejects(guarded.chat.completions.create(body(SQL)), DeniedError);
      await assert.rejects(
        guarded.chat.completions.create({ ...body(SQL), stream: true }),
        DeniedError,
      );
      assert.equal(provider.bodies.length, 0);
    });
  });

  test("a request is routed to another model of the provider, and to no other provider", async () => {
    await withClients(async (guarded) => {
      await guarded.chat.completions.create(body("small-word"));
      assert.equal(provider.bodies[0]?.model, "gpt-4o-mini");
      await assert.rejects(
        guarded.chat.completions.create(body("other-word")),
        /must go to .*claude-.* at anthropic, which is not openai/,
      );
      assert.equal(provider.bodies.length, 1);
    });
  });

  test("the answer comes back redacted", async () => {
    await withClients(async (guarded) => {
      provider.answer = [`Your card is ${CARD}.`];
      const answer = await guarded.chat.completions.create(body("hi"));
      assert.equal(answer.choices[0]?.message.content, "Your card is [REDACTED].");
    });
  });

  test("a stream comes back redacted", async () => {
    await withClients(async (guarded, client) => {
      provider.answer = ["Your ", "card is 4111 ", "1111 11", "11 1111", ". Bye."];
      const { text, events } = await streamed(guarded);
      assert.equal(text, "Your card is [REDACTED]. Bye.");
      assert.equal(events > 1, client.hasStreams);
      assert.equal(provider.bodies[0]?.stream, client.hasStreams);
    });
  });

  test("a tool call in a stream is judged", async () => {
    await withClients(async (guarded) => {
      provider.toolCall = ['{"q": "hel', 'lo"}'];
      assert.equal((await streamed(guarded)).call, '{"q": "hello"}');
      provider.toolCall = ['{"q": "1 UNION SEL', 'ECT password FROM users"}'];
      await assert.rejects(streamed(guarded), DeniedError);
      await assert.rejects(guarded.chat.completions.create(body("hi")), DeniedError);
    });
  });

  test("what is not judged cannot be reached", async () => {
    await withClients(async (guarded) => {
      assert.deepEqual(Object.keys(guarded), ["chat"]);
      assert.deepEqual(Object.keys(guarded.chat), ["completions"]);
      assert.deepEqual(Object.keys(guarded.chat.completions), ["create"]);
      const answer = guarded.chat.completions.create(body("hi"));
      await assert.rejects(answer.withResponse(), /not judged/);
      await assert.rejects(answer.asResponse(), /not judged/);
      await answer;
    });
  });

  test("no decision is a denial", async () => {
    const client = new Client("127.0.0.1:1", { timeoutMs: 60_000 });
    provider.bodies.length = 0;
    const guarded = guardOpenAI(openai, client);
    await assert.rejects(guarded.chat.completions.create(body("hi")), (error) => {
      assert(error instanceof DeniedError && !(error instanceof HeldError));
      assert.equal(error.decision.reasonCode, "PDP_UNAVAILABLE");
      return true;
    });
    assert.equal(provider.bodies.length, 0);
    client.close();
  });
});
