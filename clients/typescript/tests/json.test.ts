import assert from "node:assert/strict";
import { test } from "node:test";
import { parseJson, stringifyJson } from "pdp-client";

test("integers that a number would change are bigints", () => {
  const text = '{"id":1234567890123456789,"same":1234567890123456800,"small":1234567890123456,"f":1.5,"list":[-99999999999999999]}';
  const value = parseJson(text);
  assert.deepEqual(value, {
    id: 1234567890123456789n,
    same: 1234567890123456800,
    small: 1234567890123456,
    f: 1.5,
    list: [-99999999999999999n],
  });
  assert.equal(stringifyJson(value), text);
});

test("the exact parser reads what JSON.parse reads", () => {
  const documents = [
    { "1234567890123456789": "0000000000000000", e: [] },
    [" \"\\]},: 1234567890123456", "\u{1F600}\n", {}, [[]], true, false, null, 0.25, -1e-7],
    { a: { b: [{ c: "1111111111111111" }, "\\"] }, "": { "__proto__": 1 } },
  ];
  for (const each of documents) {
    for (const indent of [0, 2]) {
      assert.deepEqual(parseJson(JSON.stringify(each, null, indent)), each);
    }
  }
});

test("a text that is not JSON is an error", () => {
  for (const text of ["", "{", "1234567890123456789x", '{"a":1234567890123456,}']) {
    assert.throws(() => parseJson(text), SyntaxError);
  }
});

test("what JSON does not have is an error", () => {
  assert.throws(() => stringifyJson({ a: NaN }), TypeError);
  const loop: unknown[] = [];
  loop.push(loop);
  assert.throws(() => stringifyJson(loop), /too deep/);
});

test("members that are undefined are left out", () => {
  assert.equal(stringifyJson({ a: undefined, b: new Date(0) }), '{"b":"1970-01-01T00:00:00.000Z"}');
});
