import { describe, expect, test } from "vitest";
import type { Schemas } from "../src/api/types";
import { rulesOf } from "../src/pages/policies/dlp_tools";
import { forWhom, standing, whatItLifts } from "../src/pages/policies/exception_words";
import { shown } from "../src/pages/policies/facts";
import { facetValues, filtered, haystacks } from "../src/pages/policies/filter";
import { moved } from "../src/pages/policies/ordered_list";
import { distinct, withIds } from "../src/pages/policies/references";
import { linesOf, marksOf } from "../src/pages/policies/sample_marks";
import { boundName, fullest, share } from "../src/pages/policies/usage";

describe("the filter of a list", () => {
  const rows = [
    { id: "1", name: "Card numbers", action: "block", enabled: true, scope: ["text", "output"] },
    { id: "2", name: "Heron", description: "A bird", action: "warn", enabled: false, scope: [] },
  ];
  const column = (field: string) => ({ field, label: field, width: "1fr" });
  const columns = ["name", "action", "scope"].map(column);
  const indexed = haystacks(rows, { idField: "id", columns });
  const ids = (text: string, facets = {}) =>
    filtered(indexed, text, facets).map((row) => row["id"]);

  test("finds all words in any column, in any case", () => {
    expect(ids("")).toEqual(["1", "2"]);
    expect(ids("BLOCK numbers")).toEqual(["1"]);
    expect(ids("bird")).toEqual(["2"]);
    expect(ids("output")).toEqual(["1"]);
    expect(ids("card bird")).toEqual([]);
  });

  test("combines with facets, which count their values", () => {
    expect(ids("", { enabled: "no" })).toEqual(["2"]);
    expect(ids("card", { action: "warn" })).toEqual([]);
    expect(ids("", { action: "" })).toEqual(["1", "2"]);
    expect(facetValues(rows, "enabled")).toEqual([
      ["no", 1],
      ["yes", 1],
    ]);
    expect(facetValues(rows, "family")).toEqual([]);
  });
});

test("matches in lines are marked in the text of all lines", () => {
  const lines = linesOf("a heron\n\n🦅 heron");
  expect(lines.map(({ start }) => start)).toEqual([0, 8, 9]);
  // Two samples: the empty line is none. The eagle is one code point, and two UTF-16 units.
  const marks = marksOf(lines, [[{ start: 2, end: 7 }], [{ start: 2, end: 7 }]]);
  expect(marks.map(({ start, end }) => [start, end])).toEqual([
    [2, 7],
    [12, 17],
  ]);
  expect(marksOf(lines, [])).toEqual([]);
});

test("an item moves within its list, and never out of it", () => {
  const items = ["a", "b", "c"];
  expect(moved(items, 0, 2)).toEqual(["b", "c", "a"]);
  expect(moved(items, 2, 0)).toEqual(["c", "a", "b"]);
  expect(moved(items, 1, 9)).toEqual(["a", "c", "b"]);
  expect(moved(items, 1, -1)).toEqual(["b", "a", "c"]);
  expect(items).toEqual(["a", "b", "c"]);
});

test("equal names differ by their ids, and equal ids are one", () => {
  expect(
    distinct([
      { value: "1", label: "Card" },
      { value: "2", label: "Card" },
      { value: "3", label: "Email" },
      { value: "3", label: "Email" },
    ]),
  ).toEqual([
    { value: "1", label: "Card (1)" },
    { value: "2", label: "Card (2)" },
    { value: "3", label: "Email" },
  ]);
});

test("names that were typed before they were known become ids, also within objects", () => {
  const suggestions = {
    policies: [{ value: "pol_1", label: "Codes" }],
    rule_id: [{ value: "r_1", label: "Cards" }],
  };
  const typed = {
    name: "Codes",
    policies: ["Codes", "pol_1", "unknown"],
    dlp_rules: [{ rule_id: "Cards", enabled: true }],
  };
  expect(withIds(typed, suggestions)).toEqual({
    name: "Codes",
    policies: ["pol_1", "pol_1", "unknown"],
    dlp_rules: [{ rule_id: "r_1", enabled: true }],
  });
});

describe("an exception in words", () => {
  test("says whether it is in force", () => {
    const approved = { state: "approved", active: false };
    expect(standing({ ...approved, active: true })).toBe("active");
    expect(standing({ state: "proposed", active: false })).toBe("proposed");
    expect(standing({ ...approved, valid_until: "2000-01-01T00:00:00Z" })).toBe("ended");
    expect(standing({ ...approved, valid_from: "2999-01-01T00:00:00Z" })).toBe("waiting");
  });

  test("says for whom it is, and what it lifts", () => {
    expect(forWhom({ groups: ["sre"], users: ["ann"] })).toBe("sre, ann");
    expect(forWhom({ everyone: true })).toBe("everyone");
    expect(forWhom({ values: ["x"] })).toBe("all, for single values");
    expect(
      whatItLifts({ policies: ["a"], families: ["sql"], rules: ["b", "c"], org_risk: true }),
    ).toBe("1 static policy, sql, 2 rules of packs, block by risk");
  });
});

test("the fullest bound of a limit is named", () => {
  const none = { used: 3, limit: null, remaining: null, window_start: null, resets_at: null };
  const of = (used: number, limit: number) => ({ ...none, used, limit });
  const usage = {
    requests_per_minute: none,
    daily_request_limit: of(3, 10),
    monthly_request_limit: none,
    daily_token_limit: of(9, 10),
    monthly_token_limit: none,
    daily_cost_limit_usd: none,
    monthly_cost_limit_usd: null,
  } as unknown as Schemas["LimitUsage"];
  expect(fullest(usage)).toBe("Tokens a day: 90 %");
  expect(share(none)).toBeUndefined();
  expect(share(of(0, 0))).toBe(1);
  expect(boundName("daily_cost_limit_usd")).toBe("US dollars a day");
});

test("an import takes an export or a list, and says why it takes nothing else", () => {
  expect(rulesOf('{"rules": [1]}')).toEqual([1]);
  expect(rulesOf("[2]")).toEqual([2]);
  expect(() => rulesOf("{")).toThrow(/not JSON/);
  expect(() => rulesOf('{"policies": []}')).toThrow(/no list of rules/);
  expect(() => rulesOf("null")).toThrow(/no list of rules/);
});

test("values are shown in words", () => {
  expect(shown(["a", 1])).toBe("a, 1");
  expect(shown({ text: "warn", output: ["log"] })).toBe("text: warn; output: log");
});
