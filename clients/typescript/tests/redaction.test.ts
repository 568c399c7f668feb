import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, test } from "node:test";
import { redactArguments, redactText, type JsonObject, type Span } from "pdp-client";
import { PACKAGE } from "./support/pdp.js";

interface Vector<T> {
  name: string;
  replacement: string;
  spans: { path?: string; start: number; end: number; in_key?: boolean }[];
  expected: T;
}

interface Vectors {
  texts: (Vector<string> & { text: string })[];
  arguments: (Vector<JsonObject> & { arguments: JsonObject })[];
}

const vectors = JSON.parse(
  readFileSync(resolve(PACKAGE, "../../tests/vectors/redactions.json"), "utf8"),
) as Vectors;

function spansOf({ spans }: Vector<unknown>): Span[] {
  return spans.map(({ in_key, ...span }) => ({ ...span, inKey: in_key ?? false }));
}

describe("the vectors of all languages", () => {
  for (const vector of vectors.texts) {
    test(`text: ${vector.name}`, () => {
      assert.equal(redactText(vector.text, spansOf(vector), vector.replacement), vector.expected);
    });
  }
  for (const vector of vectors.arguments) {
    test(`arguments: ${vector.name}`, () => {
      const redacted = redactArguments(vector.arguments, spansOf(vector), vector.replacement);
      assert.deepEqual(redacted, vector.expected);
    });
  }
});

test("spans that overlap are replaced as one", () => {
  const spans = [
    { start: 2, end: 5 },
    { start: 0, end: 3 },
  ];
  assert.equal(redactText("abcdefg", spans, "*"), "*fg");
});

test("a span in a place that does not exist is an error", () => {
  const spans = [{ path: "/b", start: 0, end: 1 }];
  assert.throws(() => redactArguments({ a: "x" }, spans, "*"), RangeError);
});

test("a span on an object is an error", () => {
  const spans = [{ path: "/a", start: 0, end: 1 }];
  assert.throws(() => redactArguments({ a: { b: "x" } }, spans, "*"), RangeError);
});

test("a member named __proto__ is redacted like any other", () => {
  const value = JSON.parse('{"__proto__": "secret"}') as JsonObject;
  const redacted = redactArguments(value, [{ path: "/__proto__", start: 0, end: 6 }], "*");
  assert.equal(JSON.stringify(redacted), '{"__proto__":"*"}');
});
