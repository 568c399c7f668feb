import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { once } from "node:events";
import { describe, test } from "node:test";
import * as grpc from "@grpc/grpc-js";
import {
  CallError,
  Client,
  DeniedError,
  PDP_UNAVAILABLE,
  UnavailableError,
  type ClientOptions,
  type DecisionRequest,
} from "pdp-client";
import { Outcome } from "#internal/gen/pdp/v1/decide_pb";
import { makeCertificate } from "./support/certificates.js";
import { allow, FakeServer, type Action } from "./support/fake.js";
import { Relay } from "./support/relay.js";

const THROW = { onUnavailable: "throw" } as const;
const UNAVAILABLE = { code: grpc.status.UNAVAILABLE, details: "busy" };

/** Long enough for every answer that comes, however busy the machine is. */
const LONG = { timeoutMs: 60_000 };

/** For answers that never come. */
const SHORT = { timeoutMs: 200 };

async function withServer(
  work: (server: FakeServer, client: Client) => Promise<void>,
  options: ClientOptions = LONG,
): Promise<void> {
  const server = await new FakeServer().start();
  const client = new Client(server.address, options);
  try {
    await work(server, client);
  } finally {
    client.close();
    server.stop();
  }
}

/** Returns an address at which nothing listens. */
async function freeAddress(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return `127.0.0.1:${port}`;
}

describe("there is no decision", () => {
  test("a server that is down is a denial", async () => {
    const client = new Client(await freeAddress(), LONG);
    const decision = await client.decide({ text: "hi", requestId: "r1" });
    assert.deepEqual(
      [decision.outcome, decision.allowed, decision.reasonCode, decision.requestId],
      ["BLOCK", false, PDP_UNAVAILABLE, "r1"],
    );
    assert(decision.failure instanceof UnavailableError);
    assert.match(decision.failure.message, /cannot connect to .*ECONNREFUSED/);
    const batch = await client.decideBatch([{ text: "a" }, { text: "b" }]);
    assert.deepEqual(batch.map((each) => each.reasonCode), [PDP_UNAVAILABLE, PDP_UNAVAILABLE]);
    await assert.rejects(client.decide({}, THROW), { reason: PDP_UNAVAILABLE });
    await assert.rejects(client.simulate({}), UnavailableError);
    await assert.rejects(client.openText().push("hi"), DeniedError);
    await assert.rejects(client.openText({}, THROW).push("hi"), UnavailableError);
    client.close();
  });

  test("a server that does not answer in time is a denial", async () => {
    await withServer(async (server, client) => {
      server.onDecide = () => undefined;
      const decision = await client.decide({}, SHORT);
      assert.equal(decision.reasonCode, PDP_UNAVAILABLE);
      assert.equal(decision.failure?.code, "DEADLINE_EXCEEDED");
      assert.equal(server.requests.length, 1);
    });
  });

  test("the deadline is sent to the server", async () => {
    await withServer(async (server, client) => {
      await client.decide({});
      const [deadline = Infinity] = server.deadlines;
      assert(Number.isFinite(Number(deadline)));
    });
  });

  test("connecting counts towards the time of a call", async () => {
    // It accepts connections, and never says anything.
    const silent = createServer().listen(0, "127.0.0.1");
    await once(silent, "listening");
    const sockets: import("node:net").Socket[] = [];
    silent.on("connection", (socket) => sockets.push(socket));
    const client = new Client(`127.0.0.1:${(silent.address() as AddressInfo).port}`, SHORT);
    const decision = await client.decide({});
    assert.equal(decision.failure?.code, "DEADLINE_EXCEEDED");
    client.close();
    for (const each of sockets) each.destroy();
    silent.close();
  });

  test("a credential that cannot be had is a denial, and nothing is sent", async () => {
    const token = () => Promise.reject(new Error("no token"));
    await withServer(
      async (server, client) => {
        const decision = await client.decide({});
        assert.match(decision.failure?.message ?? "", /`token` failed/);
        assert.equal(server.requests.length, 0);
      },
      { ...LONG, token },
    );
  });

  test("a caller that gives up gets its own reason", async () => {
    await withServer(async (server, client) => {
      server.onDecide = () => undefined;
      const controller = new AbortController();
      const arrival = server.arrival();
      const decision = client.decide({}, { signal: controller.signal });
      await arrival;
      const reason = new Error("not needed");
      controller.abort(reason);
      await assert.rejects(decision, reason);
      await assert.rejects(client.decide({}, { signal: controller.signal }), reason);
    });
  });

  test("a client that is closed denies", async () => {
    await withServer(async (_, client) => {
      client.close();
      assert.equal((await client.decide({})).reasonCode, PDP_UNAVAILABLE);
    });
  });

  test("calls beyond the bound of waiting ones are denied at once", async () => {
    await withServer(
      async (server, client) => {
        server.onDecide = () => undefined;
        const controller = new AbortController();
        const arrival = server.arrival();
        const waiting = client.decide({}, { signal: controller.signal });
        await arrival;
        const decision = await client.decide({});
        assert.match(decision.failure?.message ?? "", /1 calls wait/);
        controller.abort();
        await assert.rejects(waiting);
      },
      { ...LONG, resilience: { maxWaiting: 1 } },
    );
  });
});

describe("answers that cannot be used", () => {
  const answers: [string, (requestId: string) => Action][] = [
    ["no outcome", (requestId) => ({ requestId, allowed: true })],
    ["an outcome that is not known", (requestId) => ({ requestId, outcome: 42 as Outcome, allowed: true })],
    ["BLOCK that is allowed", (requestId) => ({ requestId, outcome: Outcome.BLOCK, allowed: true })],
    ["ALLOW that is not allowed", (requestId) => ({ requestId, outcome: Outcome.ALLOW })],
    ["another request", () => ({ requestId: "other", outcome: Outcome.ALLOW, allowed: true })],
    ["no request", () => ({ outcome: Outcome.ALLOW, allowed: true })],
    ["bytes that are no message", () => Buffer.from([0xff, 0xff, 0xff])],
    ["an empty message", () => Buffer.alloc(0)],
  ];
  for (const [name, action] of answers) {
    test(name, async () => {
      await withServer(async (server, client) => {
        server.onDecide = ({ requestId }) => action(requestId);
        const decision = await client.decide({});
        assert.deepEqual(
          [decision.outcome, decision.allowed, decision.reasonCode],
          ["BLOCK", false, PDP_UNAVAILABLE],
        );
        await assert.rejects(client.decide({}, THROW), UnavailableError);
        assert.equal(server.requests.length, 2, "it was sent again");
      });
    });
  }

  test("a batch with too few decisions, or in another order", async () => {
    await withServer(async (server, client) => {
      server.onBatch = ({ requests: [first] }) => ({ responses: first ? [allow(first)] : [] });
      const few = await client.decideBatch([{}, {}]);
      server.onBatch = ({ requests }) => ({ responses: requests.map((each) => allow(each)).reverse() });
      const reversed = await client.decideBatch([{}, {}]);
      for (const each of [...few, ...reversed]) assert.equal(each.reasonCode, PDP_UNAVAILABLE);
      server.onBatch = ({ requests }) => ({ responses: requests.map((each) => allow(each)) });
      const good = await client.decideBatch([{}, {}]);
      assert.deepEqual(good.map((each) => each.allowed), [true, true]);
    });
  });
});

describe("errors of the server", () => {
  /** `google.rpc.Status` with an ErrorInfo and a BadRequest, as the server sends it. */
  function details(): grpc.Metadata {
    const field = (number: number, value: Buffer | string) => {
      const bytes = Buffer.from(value);
      return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
    };
    const any = (type: string, value: Buffer) =>
      field(3, Buffer.concat([field(1, `type.googleapis.com/${type}`), field(2, value)]));
    const violation = Buffer.concat([field(1, "tool"), field(2, "too long")]);
    const metadata = new grpc.Metadata();
    metadata.set(
      "grpc-status-details-bin",
      Buffer.concat([
        any("google.rpc.ErrorInfo", field(1, "INVALID_ARGUMENT")),
        any("google.rpc.BadRequest", field(1, violation)),
      ]),
    );
    return metadata;
  }

  test("they are errors of the call, with the fields", async () => {
    await withServer(async (server, client) => {
      server.onDecide = () => ({
        code: grpc.status.INVALID_ARGUMENT,
        details: "tool: too long",
        metadata: details(),
      });
      await assert.rejects(client.decide({}), (error) => {
        assert(error instanceof CallError && !(error instanceof UnavailableError));
        assert.deepEqual(
          [error.reason, error.message, error.violations],
          ["INVALID_ARGUMENT", "tool: too long", [{ field: "tool", reason: "too long" }]],
        );
        return true;
      });
      assert.equal(server.requests.length, 1);
    });
  });

  test("details that are not a status leave the code", async () => {
    await withServer(async (server, client) => {
      const metadata = new grpc.Metadata();
      metadata.set("grpc-status-details-bin", Buffer.from([0xff]));
      server.onDecide = () => ({ code: grpc.status.PERMISSION_DENIED, details: "no", metadata });
      await assert.rejects(client.decide({}), { reason: "PERMISSION_DENIED" });
    });
  });
});

describe("retries", () => {
  /** A server that is unavailable for the first calls. */
  function failingFirst(count: number): FakeServer {
    const server = new FakeServer();
    server.onDecide = (request) => (server.requests.length <= count ? UNAVAILABLE : allow(request));
    return server;
  }

  test("UNAVAILABLE is tried again", async () => {
    const server = await failingFirst(2).start();
    const client = new Client(server.address, LONG);
    assert.equal((await client.decide({})).outcome, "ALLOW");
    assert.equal(server.requests.length, 3);
    assert.equal(new Set(server.requests.map((each) => each.requestId)).size, 1);
    client.close();
    server.stop();
  });

  test("a request with tokens is not tried again after it was sent", async () => {
    const server = await failingFirst(1).start();
    const client = new Client(server.address, LONG);
    assert.equal((await client.decide({ tokens: ["t"] })).reasonCode, PDP_UNAVAILABLE);
    assert.equal(server.requests.length, 1);
    client.close();
    server.stop();
  });

  test("a request with tokens goes to another address if the first cannot be reached", async () => {
    const server = await new FakeServer().start();
    const client = new Client([await freeAddress(), server.address], LONG);
    for (let call = 0; call < 4; call++) {
      assert.equal((await client.decide({ tokens: ["t"] })).outcome, "ALLOW");
    }
    assert.equal(server.requests.length, 4);
    client.close();
    server.stop();
  });

  test("other errors are not tried again", async () => {
    await withServer(async (server, client) => {
      server.onDecide = () => ({ code: grpc.status.INTERNAL, details: "broken" });
      assert.equal((await client.decide({})).reasonCode, PDP_UNAVAILABLE);
      assert.equal(server.requests.length, 1);
    });
  });

  test("the budget bounds them", async () => {
    await withServer(
      async (server, client) => {
        server.onDecide = () => UNAVAILABLE;
        for (let call = 0; call < 3; call++) await client.decide({});
        assert.equal(server.requests.length, 5);
      },
      { ...LONG, resilience: { retryBurst: 2, failureThreshold: 100 } },
    );
  });
});

describe("addresses", () => {
  test("several are used in turn", async () => {
    const servers = await Promise.all([new FakeServer().start(), new FakeServer().start()]);
    const client = new Client(servers.map((each) => each.address), LONG);
    // The first call uses the address that is connected first; the others are connected, too.
    while (servers.some((each) => each.requests.length < 2)) await client.decide({});
    client.close();
    for (const each of servers) each.stop();
  });

  test("a circuit that is open denies without a call, and one call tries it again", async () => {
    const resilience = { failureThreshold: 1, maxAttempts: 1, cooldownMs: 0 };
    await withServer(
      async (server, client) => {
        server.onDecide = () => UNAVAILABLE;
        await client.decide({});
        server.onDecide = (request) => allow(request);
        assert.equal((await client.decide({})).outcome, "ALLOW");
      },
      { ...LONG, resilience },
    );
    await withServer(
      async (server, client) => {
        server.onDecide = () => UNAVAILABLE;
        await client.decide({});
        const { failure } = await client.decide({});
        assert.match(failure?.message ?? "", /failed too often/);
        assert.equal(server.requests.length, 1);
      },
      { ...LONG, resilience: { ...resilience, cooldownMs: 1e9 } },
    );
  });

  test("a server that does not serve gets no calls until it does", async () => {
    const servers = [new FakeServer(), new FakeServer()];
    for (const each of servers) each.serves = true;
    await Promise.all(servers.map((each) => each.start()));
    const client = new Client(servers.map((each) => each.address), LONG);
    const [first, second] = servers as [FakeServer, FakeServer];
    while (servers.some((each) => each.requests.length < 2)) await client.decide({});
    first.serves = false;
    // The second check is sent after the answer to the first was read.
    let checked = false;
    void first.check().then(() => first.check()).then(() => (checked = true));
    while (!checked) await client.decide({});
    const before = first.requests.length;
    for (let count = 0; count < 10; count++) {
      assert.equal((await client.decide({})).outcome, "ALLOW");
    }
    assert.equal(first.requests.length, before);
    second.serves = false;
    while ((await client.decide({}, { timeoutMs: 5000 })).outcome === "ALLOW");
    second.serves = true;
    while ((await client.decide({})).outcome !== "ALLOW");
    client.close();
    for (const each of servers) each.stop();
  });

  test("a server that is restarted is found again", async () => {
    const resilience = { maxAttempts: 1, failureThreshold: 1e9 };
    await withServer(
      async (server, client) => {
        assert.equal((await client.decide({})).outcome, "ALLOW");
        server.stop();
        assert.equal((await client.decide({})).reasonCode, PDP_UNAVAILABLE);
        await server.start();
        while ((await client.decide({})).outcome !== "ALLOW");
      },
      { ...LONG, resilience },
    );
  });

  test("a connection that is half-open is replaced", async () => {
    const server = await new FakeServer().start();
    const relay = await Relay.start(server.address);
    const client = new Client(relay.address, {
      ...LONG,
      resilience: { failureThreshold: 1, cooldownMs: 0 },
    });
    assert.equal((await client.decide({})).outcome, "ALLOW");
    relay.freeze();
    assert.equal((await client.decide({}, SHORT)).failure?.code, "DEADLINE_EXCEEDED");
    assert.equal((await client.decide({})).outcome, "ALLOW");
    client.close();
    relay.stop();
    server.stop();
  });

  test("addresses that are not one are errors", () => {
    for (const address of ["", "localhost", "http://localhost:1", "a b:1", "host:port"]) {
      assert.throws(() => new Client(address, { plaintext: true }), /is not HOST:PORT/);
    }
    assert.throws(() => new Client([]), /at least one address/);
    assert.throws(() => new Client("localhost:1", { timeoutMs: 0 }), /timeoutMs/);
    for (const address of ["[::1]:1", "unix:/tmp/pdp", "127.0.0.1:1", "localhost:1"]) {
      new Client(address).close();
    }
  });
});

describe("TLS", () => {
  const right = makeCertificate("pdp.test");
  const wrong = makeCertificate("other.test");
  const { caFile } = right;
  const serverName = "pdp.test";

  async function withTls(work: (address: string, server: FakeServer) => Promise<void>) {
    const pair = {
      private_key: readFileSync(right.keyFile),
      cert_chain: readFileSync(right.certFile),
    };
    const server = await new FakeServer().start(grpc.ServerCredentials.createSsl(null, [pair]));
    await work(server.address, server);
    server.stop();
  }

  test("a certificate of the right authority and name is accepted", async () => {
    await withTls(async (address) => {
      const client = new Client(address, { ...LONG, tls: { caFile, serverName } });
      assert.equal((await client.decide({})).outcome, "ALLOW");
      client.close();
    });
  });

  test("another authority or name is a denial", async () => {
    await withTls(async (address, server) => {
      for (const tls of [
        { caFile: wrong.caFile, serverName },
        { caFile, serverName: "other.test" },
        { caFile },
        true,
      ]) {
        const client = new Client(address, { ...LONG, tls });
        const { reasonCode, failure } = await client.decide({});
        assert.equal(reasonCode, PDP_UNAVAILABLE);
        assert.match(failure?.message ?? "", /certificate|altnames/i);
        client.close();
      }
      assert.equal(server.requests.length, 0);
    });
  });

  test("a server that requires a certificate gets it", async () => {
    const pair = {
      private_key: readFileSync(right.keyFile),
      cert_chain: readFileSync(right.certFile),
    };
    const credentials = grpc.ServerCredentials.createSsl(readFileSync(caFile), [pair], true);
    const server = await new FakeServer().start(credentials);
    const { certFile, keyFile } = right;
    for (const [tls, outcome] of [
      [{ caFile, serverName, certFile, keyFile }, "ALLOW"],
      [{ caFile, serverName, certFile: wrong.certFile, keyFile: wrong.keyFile }, "BLOCK"],
      [{ caFile, serverName }, "BLOCK"],
    ] as const) {
      const client = new Client(server.address, { ...LONG, tls });
      assert.equal((await client.decide({})).outcome, outcome);
      client.close();
    }
    assert.equal(server.requests.length, 1);
    server.stop();
  });

  test("a server without TLS is a denial", async () => {
    await withServer(async ({ address, requests }) => {
      const client = new Client(address, { ...LONG, tls: { caFile, serverName } });
      assert.equal((await client.decide({})).reasonCode, PDP_UNAVAILABLE);
      assert.equal(requests.length, 0);
      client.close();
    });
  });

  test("a file that cannot be used is an error, and not plaintext", () => {
    const address = "127.0.0.1:1";
    const { certFile, keyFile } = right;
    for (const tls of [
      { caFile: "/nowhere/ca.pem" },
      { certFile: "/nowhere/cert.pem", keyFile },
      { certFile },
      { keyFile },
      { caFile: process.execPath.replace(/node$/, "") },
      { caFile: "package.json" },
      { certFile, keyFile: wrong.keyFile },
    ]) {
      assert.throws(() => new Client(address, { tls }), Error, JSON.stringify(tls));
    }
  });

  test("plaintext to another machine must be asked for", () => {
    assert.throws(() => new Client("pdp.example:1", { tls: false }), /set plaintext/);
    assert.throws(() => new Client("pdp.example:1", { tls: true, plaintext: true }), /not both/);
    new Client("pdp.example:1").close();
    new Client("pdp.example:1", { plaintext: true }).close();
  });
});

describe("texts in chunks", () => {
  test("an answer that cannot be used ends the text", async () => {
    await withServer(async (server, client) => {
      const response = { outcome: Outcome.ALLOW, allowed: true };
      const release = { releasedText: "hi" };
      const answers = [
        { release },
        { response },
        { response: { ...response, allowed: false }, release },
        { response: { ...response, outcome: 42 as Outcome }, release },
        { response: { ...response, obligations: [{ type: 42 }] }, release },
        { response: { ...response, obligations: [{ type: 3, message: "Sure?" }] }, release },
        { response, release: { ...release, closed: true } },
        { response: { outcome: Outcome.BLOCK, allowed: false, message: "no" }, release },
      ];
      for (const answer of answers) {
        server.onStream = ({ request }) => ({
          ...answer,
          ...("response" in answer && {
            response: { requestId: request?.requestId ?? "", ...answer.response },
          }),
        }) as never;
        const stream = client.openText();
        await assert.rejects(stream.push("hi"), DeniedError, JSON.stringify(answer));
        await assert.rejects(stream.push("more"), DeniedError);
        await assert.rejects(stream.end(), DeniedError);
        assert.equal(stream.closed, true);
      }
    });
  });

  test("no answer in time ends the text", async () => {
    await withServer(async (_, client) => {
      const stream = client.openText({}, SHORT);
      await assert.rejects(stream.push("hi"), DeniedError);
      assert.equal(stream.decision?.reasonCode, PDP_UNAVAILABLE);
    });
  });

  test("a server that goes away ends the text", async () => {
    await withServer(async (server, client) => {
      const stream = client.openText();
      const arrival = server.arrival();
      const pushed = assert.rejects(stream.push("hi"), DeniedError);
      await arrival;
      server.stop();
      await pushed;
    });
  });

  test("a character that is cut in half is sent whole", async () => {
    await withServer(async (server, client) => {
      const texts: string[] = [];
      let requestId = "";
      server.onStream = ({ request, chunk }) => {
        requestId ||= request?.requestId ?? "";
        texts.push(chunk?.text ?? "");
        return {
          response: { requestId, outcome: Outcome.ALLOW, allowed: true },
          release: { releasedText: chunk?.text ?? "", closed: chunk?.last ?? false },
        };
      };
      const stream = client.openText();
      const released = [await stream.push("a\ud83d"), await stream.push("\ude00"), await stream.end()];
      assert.deepEqual(texts, ["a", "\u{1F600}", ""]);
      assert.deepEqual(released, texts);
    });
  });
});

test("ids, credentials and trace context are metadata", async () => {
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  await withServer(
    async (server, client) => {
      await client.decide({ requestId: "r1" }, { traceparent, tracestate: "a=b" });
      await client.decide({ tenantId: "other" });
      const [first, second] = server.metadata;
      const names = ["x-request-id", "authorization", "traceparent", "tracestate"];
      assert.deepEqual(
        names.map((name) => first?.get(name)[0]),
        ["r1", "Bearer token-1", traceparent, "a=b"],
      );
      assert.equal(second?.get("authorization")[0], "Bearer token-2");
      assert.equal(second.get("x-request-id")[0], server.requests[1]?.requestId);
      assert.deepEqual(server.requests.map((each) => each.tenantId), ["acme", "other"]);
    },
    {
      ...LONG,
      tenant: "acme",
      token: (() => {
        let count = 0;
        return () => `token-${++count}`;
      })(),
    },
  );
});

test("an API key is metadata, and there is one credential", async () => {
  assert.throws(() => new Client("localhost:1", { apiKey: "a", token: "b" }), /not both/);
  await withServer(
    async (server, client) => {
      await client.decide({});
      assert.equal(server.metadata[0]?.get("x-api-key")[0], "key");
    },
    { ...LONG, apiKey: "key" },
  );
});

test("requests that a server would read in another way are refused", async () => {
  const server = await new FakeServer().start();
  const client = new Client(server.address, LONG);
  for (const request of [
    { text: "\ud83d" },
    { payload: { body: '"\ude00"' } },
    { arguments: { a: Infinity } },
    { arguments: {}, argumentsJson: "{}" },
    { minRevision: 2 ** 60 },
    { target: { sensitivityLevel: 1.5 } },
    { prompt: "hi" },
    { content: { text: "hi" } },
    { subject: { user_id: "ann" } },
    { entities: [{ type: "SSN" }] },
  ]) {
    const refused = client.decide(request as DecisionRequest);
    await assert.rejects(refused, { reason: "INVALID_ARGUMENT" });
  }
  assert.equal(server.requests.length, 0);
  client.close();
  server.stop();
});
