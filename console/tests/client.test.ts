import { afterEach, describe, expect, test, vi } from "vitest";
import { Api, fillPath, queryString } from "../src/api/client";
import { ApiError } from "../src/api/errors";

function answer(status: number, body: string, headers: Record<string, string> = {}) {
  const fetched = vi.fn<typeof fetch>(() =>
    Promise.resolve(new Response(body, { status, headers })),
  );
  vi.stubGlobal("fetch", fetched);
  return fetched;
}

function api(onUnauthenticated = vi.fn()) {
  return new Api(() => ({ credential: "aa_live_1", tenant: "acme" }), onUnauthenticated);
}

afterEach(() => vi.unstubAllGlobals());

describe("a call", () => {
  test("sends the credential, the tenant and the ETag in headers, never in the address", async () => {
    const fetched = answer(200, "{}", { etag: '"7"', "x-pdp-revision": "9" });
    const sent = await api().send("GetLimit", { path: { limit_id: "a/b?c" }, ifMatch: '"6"' });
    const [url, request] = fetched.mock.calls[0] ?? [];
    expect(url).toBe("/api/admin/limits/a%2Fb%3Fc");
    expect(request?.headers).toMatchObject({
      authorization: "Bearer aa_live_1",
      "x-tenant-id": "acme",
      "if-match": '"6"',
    });
    expect(request?.credentials).toBe("omit");
    expect(sent).toMatchObject({ etag: '"7"', revision: 9 });
  });

  test("that fails has the reason, the violations and the ID of the request", async () => {
    const body = {
      error: {
        code: "INVALID_PATTERN",
        message: "no",
        details: [{ field: "pattern", reason: "x" }],
      },
    };
    answer(400, JSON.stringify(body), { "x-request-id": "r1" });
    const error = await api()
      .call("ListLimits")
      .catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({
      status: 400,
      code: "INVALID_PATTERN",
      message: "no",
      violations: [{ field: "pattern", reason: "x" }],
      requestId: "r1",
    });
  });

  test.each(["<html>", "null", '{"error": 1}', ""])(
    "survives the foreign answer %j",
    async (body) => {
      answer(502, body);
      await expect(api().call("ListLimits")).rejects.toMatchObject({
        status: 502,
        code: "UNKNOWN",
      });
    },
  );

  test("of a server that cannot be reached is an error of the status 0", async () => {
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("failed to fetch")));
    await expect(api().call("ListLimits")).rejects.toMatchObject({ status: 0, unavailable: true });
  });

  test("that is not authenticated is reported; one that is not allowed is not", async () => {
    const report = vi.fn();
    const refusal = { error: { code: "X", message: "x" } };
    answer(403, JSON.stringify(refusal));
    await expect(api(report).call("ListLimits")).rejects.toMatchObject({ status: 403 });
    expect(report).not.toHaveBeenCalled();
    answer(401, JSON.stringify(refusal));
    await expect(api(report).call("ListLimits")).rejects.toMatchObject({ status: 401 });
    expect(report).toHaveBeenCalledOnce();
  });
});

describe("a stream", () => {
  test("yields each line, however the bytes are cut", async () => {
    const bytes = new TextEncoder().encode('{"text":"ä€😀"}\n\n{"text":"b"}\n');
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
        controller.close();
      },
    });
    vi.stubGlobal("fetch", () => Promise.resolve(new Response(body)));
    const lines = [];
    for await (const line of api().lines("TailRecords")) lines.push(line);
    expect(lines).toEqual([{ text: "ä€😀" }, { text: "b" }]);
  });
});

test("a path needs all its variables", () => {
  expect(() => fillPath("/policies/{customer_id}", {})).toThrow("customer_id");
  expect(() => fillPath("/policies/{customer_id}", { customer_id: "" })).toThrow("customer_id");
});

test("a query repeats lists and leaves out what is not set", () => {
  const query = {
    outcome: ["BLOCK", "WARN"],
    user_id: "a b",
    model: "",
    action: undefined,
    limit: 0,
  };
  expect(queryString(query)).toBe("?outcome=BLOCK&outcome=WARN&user_id=a+b&limit=0");
  expect(queryString({})).toBe("");
});
