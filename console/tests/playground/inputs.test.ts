import { describe, expect, test } from "vitest";
import { EMPTY, inputsOf, problemsOf, requestOf } from "../../src/pages/playground/inputs";

describe("the inputs of the playground", () => {
  test("an address sets them, and says what kind they are", () => {
    const of = (query: string) => inputsOf(new URLSearchParams(query));
    expect(of("text=Hi&user=ann")).toEqual({ ...EMPTY, text: "Hi", user: "ann" });
    expect(of("body={}&format=json")).toMatchObject({ kind: "payload", body: "{}" });
    expect(of("tool=shell")).toMatchObject({ kind: "tool", tool: "shell" });
    expect(of("kind=tool&other=1")).toBeUndefined();
  });

  test("a request has only what was given", () => {
    expect(requestOf({ ...EMPTY, text: " Hi " })).toEqual({
      content: { text: " Hi " },
      explain: true,
    });
    const full = {
      ...EMPTY,
      text: "Hi",
      user: " ann ",
      groups: "Finance, ,Engineering",
      agent: "bot",
      customer: "acme",
      provider: "openai",
      model: "gpt-4o",
      direction: "output",
      context: '{"country": "AT"}',
    };
    expect(requestOf(full)).toEqual({
      content: { text: "Hi" },
      subject: { user_id: "ann", groups: ["Finance", "Engineering"], agent_id: "bot" },
      model: { provider: "openai", model: "gpt-4o" },
      customer_id: "acme",
      direction: "output",
      context: { country: "AT" },
      explain: true,
    });
  });

  test("a document and a call take the place of the text", () => {
    const payload = { ...EMPTY, kind: "payload", text: "no", body: '{"a": 1}' } as const;
    expect(requestOf(payload)).toEqual({ payload: { body: '{"a": 1}' }, explain: true });
    const call = { ...EMPTY, kind: "tool", server: "git", tool: "push", arguments: "{}" } as const;
    expect(requestOf(call)).toEqual({
      tool: "push",
      arguments: {},
      target: { resource_type: "mcp_server", resource_id: "git" },
      explain: true,
    });
  });

  test("what is not a JSON object is a problem of its field", () => {
    expect(problemsOf({ ...EMPTY, context: "[1]" }).context).toMatch(/JSON object/);
    expect(problemsOf({ ...EMPTY, kind: "tool", tool: "x", arguments: "{" }).arguments).toMatch(
      /not JSON/,
    );
    // Arguments of a call that is not tried are no problem.
    expect(problemsOf({ ...EMPTY, arguments: "{" })).toEqual({});
    expect(problemsOf({ ...EMPTY, kind: "payload" }).body).toBeDefined();
    expect(problemsOf({ ...EMPTY, kind: "tool" }).tool).toBeDefined();
  });
});
