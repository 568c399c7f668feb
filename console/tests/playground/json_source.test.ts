import { describe, expect, test } from "vitest";
import { JsonSource } from "../../src/pages/playground/json_source";

/** Returns the source text at a place. */
function at(text: string, pointer: string, start: number, end: number, inKey = false) {
  const source = JsonSource.of(text);
  const range = source?.range(pointer, inKey);
  if (source === undefined || range === undefined) return undefined;
  const part = source.part(range, start, end);
  return text.slice(part.start, part.end);
}

describe("places in the source of JSON", () => {
  test("values are found by pointer, in lists, objects and at the top", () => {
    const text = ' { "a" : [ 1, "two" , {"b/~": "three"} ], "c":-4.5e3 } ';
    expect(at(text, "/a/1", 0, 3)).toBe("two");
    expect(at(text, "/a/2/b~1~0", 1, 4)).toBe("hre");
    expect(at(text, "/a/0", 0, 1)).toBe("1");
    expect(at(text, "/c", 0, 6)).toBe("-4.5e3");
    expect(at('"plain"', "", 2, 4)).toBe("ai");
  });

  test("keys are found, and their escapes are decoded for the pointer", () => {
    expect(at('{"k\\u00e9y": 1}', "/kéy", 1, 2, true)).toBe("\\u00e9");
    expect(at('{"k": {"x": true}}', "/k/x", 0, 1, true)).toBe("x");
  });

  test("offsets count code points, also if the source escapes them", () => {
    const text = '{"t": "😀\\ud83d\\ude00\\n\\u00e9\\\\x"}';
    expect(at(text, "/t", 0, 1)).toBe("😀");
    expect(at(text, "/t", 1, 2)).toBe("\\ud83d\\ude00");
    expect(at(text, "/t", 2, 3)).toBe("\\n");
    expect(at(text, "/t", 3, 4)).toBe("\\u00e9");
    expect(at(text, "/t", 4, 6)).toBe("\\\\x");
    expect(at(text, "/t", 5, 99)).toBe("x");
  });

  test("empty containers and unknown pointers are no trouble", () => {
    expect(at('{"a": [], "b": {}, "c": "x"}', "/c", 0, 1)).toBe("x");
    expect(at('{"a": []}', "/z", 0, 1)).toBeUndefined();
    expect(JsonSource.of("{")).toBeUndefined();
    expect(JsonSource.of("")).toBeUndefined();
  });
});
