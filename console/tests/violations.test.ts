import { expect, test } from "vitest";
import { normalPath, unplaced, violationsAt } from "../src/forms/violations";

const at = (field: string) => ({ field, reason: `wrong at ${field}` });

test.each([
  ["a.b[0]", "a.b[0]"],
  ["a.b.0", "a.b[0]"],
  ["/a/b/0/c", "a.b[0].c"],
  ["rules.10[2]", "rules[10][2]"],
])("the place %s is written %s", (given, normal) => {
  expect(normalPath(given)).toBe(normal);
});

test("a field without fields of its own gets what is wrong with parts of its value", () => {
  const all = [at("pattern"), at("scope[1]"), at("scope_actions.text"), at("patterns")];
  expect(violationsAt(all, "pattern", false)).toEqual([at("pattern")]);
  expect(violationsAt(all, "scope", false)).toEqual([at("scope[1]")]);
});

test("a field with fields leaves their violations to them", () => {
  const all = [at("conditions"), at("conditions.models[0]")];
  expect(violationsAt(all, "conditions", true)).toEqual([at("conditions")]);
  expect(violationsAt(all, "conditions.models", false)).toEqual([at("conditions.models[0]")]);
});

test("what no field shows is kept", () => {
  const all = [at("name"), at("If-Match"), at("rules[0].name")];
  expect(unplaced(all, ["name", "rules"])).toEqual([at("If-Match")]);
});
