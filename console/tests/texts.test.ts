import { describe, expect, test } from "vitest";
import { unitOffsets } from "../src/ui/code_points";
import { differences } from "../src/ui/diff";
import { age, compact, duration, time, words } from "../src/ui/format";
import { pieces } from "../src/ui/highlight";

const span = (start: number, end: number, title: string) => ({ start, end, title });

describe("marked texts", () => {
  test("offsets of the server are code points", () => {
    const marked = pieces("a😀b secret", [span(4, 10, "SECRET")]);
    expect(marked).toEqual([
      { text: "a😀b ", title: "" },
      { text: "secret", title: "SECRET" },
    ]);
    expect(unitOffsets("😀x")(1)).toBe(2);
    expect(unitOffsets("ab")(9)).toBe(2);
    expect(unitOffsets("😀")(9)).toBe(2);
  });

  test("a part in two spans has both titles, and no character is lost", () => {
    const marked = pieces("abcdef", [
      span(0, 4, "X"),
      span(2, 6, "Y"),
      span(2, 6, "Y"),
      span(3, 3, "Z"),
    ]);
    expect(marked.map(({ text, title }) => `${text}:${title}`)).toEqual([
      "ab:X",
      "cd:X, Y",
      "ef:Y",
    ]);
    expect(marked.map(({ text }) => text).join("")).toBe("abcdef");
  });

  test("a span beyond the end marks what is there", () => {
    expect(pieces("ab", [span(1, 99, "X")])).toEqual([
      { text: "a", title: "" },
      { text: "b", title: "X" },
    ]);
    expect(pieces("", [span(0, 1, "X")])).toEqual([]);
  });
});

describe("differences", () => {
  test("name the path of each field, also in lists", () => {
    const before = { name: "a", rules: [{ x: 1 }, { x: 2 }], gone: true };
    const after = { name: "b", rules: [{ x: 1 }, { x: 3 }, { x: 4 }] };
    expect(differences(before, after)).toEqual([
      { path: "name", before: "a", after: "b" },
      { path: "rules[1].x", before: 2, after: 3 },
      { path: "rules[2]", before: undefined, after: { x: 4 } },
      { path: "gone", before: true, after: undefined },
    ]);
    expect(differences(before, structuredClone(before))).toEqual([]);
  });

  test("a value of another type is one difference", () => {
    expect(differences([1], { 0: 1 })).toEqual([{ path: "", before: [1], after: { 0: 1 } }]);
    expect(differences(null, undefined)).toHaveLength(1);
  });
});

test("figures are short", () => {
  expect([duration(43.4), duration(1_240), duration(3_400_000)]).toEqual([
    "43 µs",
    "1.2 ms",
    "3.4 s",
  ]);
  expect(compact(12_345)).toBe("12.3K");
  expect(words("kill_switch")).toBe("Kill switch");
});

test("ages are in the largest whole unit, in both directions", () => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  expect(age("2025-12-31T23:59:30Z", now)).toBe("30 s ago");
  expect(age("2026-01-01T02:30:00Z", now)).toBe("in 2 h");
  expect(age("2026-01-01T00:00:00Z", now)).toBe("now");
  expect([age(null, now), age("x", now), time("x"), time(null)]).toEqual(["–", "–", "–", "–"]);
});
