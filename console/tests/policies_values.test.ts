import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { mineOver } from "../src/forms/conflict_dialog";
import { contractOf } from "../src/forms/contract";
import type { OpenApi } from "../src/forms/schema";
import { changedNames, equal, updateBody } from "../src/forms/values";
import { formPlan } from "../src/pages/policies/entity_store";
import { queryValues } from "../src/pages/policies/new_view";
import { restoredValues } from "../src/pages/policies/restore_dialog";
import { SECTIONS, sectionAt } from "../src/pages/policies/sections";
import { earlierValues } from "../src/pages/policies/sections/dlp_rules";
import { rulesOf } from "../src/pages/policies/sections/packs";
import type { Section } from "../src/pages/policies/types";

const document = JSON.parse(
  readFileSync(join(process.cwd(), "../pdp/_gen/openapi.json"), "utf8"),
) as OpenApi;
const contract = contractOf(document);

function section(path: string): Section {
  const found = sectionAt(path);
  if (found === undefined) throw new Error(`no section ${path}`);
  return found;
}

const ALL = [...SECTIONS, rulesOf("pack")];

describe("every section", () => {
  test.each(ALL)("$title: the groups of its form name fields of the contract", (one) => {
    const known = new Set([
      ...Object.keys(formPlan(one, contract).schema.properties ?? {}),
      ...Object.keys(formPlan(one, contract, {}).schema.properties ?? {}),
    ]);
    const named = [...one.groups.flatMap((group) => group.fields), ...(one.hidden ?? [])];
    expect(named.filter((name) => !known.has(name))).toEqual([]);
  });

  test.each(ALL)("$title: what adapts its form leaves all other fields as they are", (one) => {
    const plan = formPlan(one, contract);
    const names = Object.keys(plan.schema.properties ?? {});
    const adapted = one.adapt?.(plan.schema, {}) ?? plan.schema;
    expect(Object.keys(adapted.properties ?? {})).toEqual(names);
    expect(one.tidy?.({ name: "a" }) ?? { name: "a" }).toEqual({ name: "a" });
  });
});

describe("an update", () => {
  const statics = section("static");
  const plan = formPlan(statics, contract, {
    name: "Codes",
    pattern: "heron",
    message: "",
    scope: ["text"],
    scope_actions: { text: "log" },
    enabled: true,
  });
  const body = (after: object) =>
    updateBody(statics, plan.schema, contract.reader, plan.values, { ...plan.values, ...after });

  test("starts from what has a value", () => {
    expect(plan.values).toEqual({
      name: "Codes",
      pattern: "heron",
      scope: ["text"],
      scope_actions: { text: "log" },
      enabled: true,
    });
  });

  test("sends only the fields that differ", () => {
    expect(body({})).toEqual({});
    expect(body({ pattern: "osprey", enabled: false })).toEqual({
      pattern: "osprey",
      enabled: false,
    });
  });

  test("clears a field with the value that the contract has for it", () => {
    const cleared = { pattern: undefined, scope: undefined, scope_actions: {}, enabled: undefined };
    expect(body(cleared)).toEqual({ pattern: "", scope: [], scope_actions: {}, enabled: null });
    expect(body({ mode: "monitor" })).toEqual({ mode: "monitor" });
  });

  test("of a limit clears a bound with null", () => {
    const limits = section("limits");
    const { schema, values } = formPlan(limits, contract, { daily_request_limit: 5 });
    const after = updateBody(limits, schema, contract.reader, values, {});
    expect(after).toEqual({ daily_request_limit: null });
  });

  test("of an exception sends all of it", () => {
    const exceptions = section("exceptions");
    const before = { name: "a", reason: "b", ticket: "c", groups: ["x"] };
    const { schema, values } = formPlan(exceptions, contract, before);
    const after = { ...values, ticket: "d" };
    expect(updateBody(exceptions, schema, contract.reader, values, after)).toEqual(after);
  });
});

describe("what can be changed", () => {
  test("of a DLP rule of the product is how strict it is", () => {
    const rule = { source: "platform", detector_name: "Card", action_tier: "redact" };
    const { hidden, values } = formPlan(section("dlp"), contract, rule);
    expect(hidden).toContain("detector_name");
    expect(hidden).not.toContain("action_tier");
    expect(values).toEqual({ action_tier: "redact" });
  });

  test("of a static policy of the product is nothing", () => {
    const { schema, hidden } = formPlan(section("static"), contract, { system: true });
    expect(Object.keys(schema.properties ?? {}).filter((name) => !hidden.includes(name))).toEqual(
      [],
    );
  });
});

test("an action has only the fields of its type, and those of another type are not sent", () => {
  const rules = rulesOf("pack");
  const plan = formPlan(rules, contract);
  const values = { action: { type: "PROMPT", prompt_message: "Why?", message: "left over" } };
  const action = rules.adapt?.(plan.schema, values).properties?.["action"];
  expect(Object.keys(action?.properties ?? {})).toEqual(["type", "prompt_message"]);
  expect(action?.required).toEqual(["type", "prompt_message"]);
  expect(rules.tidy?.(values)).toEqual({ action: { type: "PROMPT", prompt_message: "Why?" } });
});

test("values are equal as JSON, and all empty values are equal", () => {
  expect(equal({ a: 1, b: [2] }, { b: [2], a: 1 })).toBe(true);
  expect(equal("", undefined)).toBe(true);
  expect(equal([], null)).toBe(true);
  expect(equal(false, undefined)).toBe(false);
  expect(equal(0, undefined)).toBe(false);
  expect(equal(["a", "b"], ["b", "a"])).toBe(false);
  expect(changedNames({ a: 1, b: "" }, { a: 2, c: [] })).toEqual(["a"]);
});

test("after a conflict, the user's own changes stand over the values of the other", () => {
  const base = { name: "a", message: "b", severity: "low" };
  const mine = { name: "a", severity: "high" };
  const theirs = { name: "theirs", message: "theirs", severity: "low" };
  expect(mineOver(base, mine, theirs)).toEqual({ name: "theirs", severity: "high" });
});

test("a version restores the fields that it has, and empties those that were empty", () => {
  const current = { pattern: "new", message: "new", description: "kept" };
  const older = { pattern: "old", message: "", id: "pol_1" };
  expect(restoredValues(current, older, ["pattern", "message", "description"])).toEqual({
    pattern: "old",
    description: "kept",
  });
});

test("a version of a DLP rule has what newer versions replaced", () => {
  const newestFirst = [{ action_tier: "block" }, { mode: "", action_tier: "redact" }, {}];
  expect(earlierValues(newestFirst)).toEqual([
    {},
    { action_tier: "block" },
    { action_tier: "redact", mode: "" },
  ]);
});

test("an address can fill the form of a new entity", () => {
  const { schema } = formPlan(section("exceptions"), contract);
  const query = new URLSearchParams("groups=sre&groups=ops&everyone=true&name=Inc&id=x&other=1");
  expect(queryValues(schema, contract.reader, query)).toEqual({
    name: "Inc",
    everyone: true,
    groups: ["sre", "ops"],
  });
  const limits = formPlan(section("limits"), contract);
  const numbers = new URLSearchParams("daily_request_limit=5");
  expect(queryValues(limits.schema, contract.reader, numbers)).toEqual({ daily_request_limit: 5 });
});

describe("the change log", () => {
  test("has times and costs in other units than forms", () => {
    const exception = section("exceptions").fromChange?.({ valid_until: 0, valid_from: null }, "");
    expect(exception).toMatchObject({ valid_until: "1970-01-01T00:00:00.000Z", valid_from: null });
    const limit = section("limits").fromChange?.({ daily_cost_limit: 2_500_000 }, "");
    expect(limit).toMatchObject({ daily_cost_limit_usd: 2.5 });
  });

  test("never restores alert rules whose webhooks it has masked", () => {
    const body = (url: string) => ({
      gdpr: true,
      alert_rules: [{ name: "a", notify: { slack_webhook_url: url } }],
    });
    const org = section("org-policy");
    expect(org.fromChange?.(body("***"), "")).not.toHaveProperty("alert_rules");
    expect(org.fromChange?.(body("https://a.example/x"), "")).toHaveProperty("alert_rules");
  });

  test("has overrides beside a static policy, which are no values of it", () => {
    expect(section("static").fromChange?.({ action: "log" }, "static_override")).toBeUndefined();
  });
});

describe("in a draft", () => {
  const draft = (path: string, values: object, entity?: object) =>
    section(path).draft?.({ ...values }, entity as Record<string, unknown> | undefined);

  test("a policy has the fields of a policy file", () => {
    expect(draft("static", { name: "a", change_summary: "why" })).toMatchObject({
      section: "static_policies",
      entry: { name: "a" },
    });
    const limit = draft("limits", { daily_request_limit: 1 }, { scope: "user", subject_id: "ann" });
    expect(limit?.entry).toEqual({ scope: "user", subject_id: "ann", daily_request_limit: 1 });
  });

  test("a rule of the product is named by its detector, unless it is of a bundle", () => {
    const rule = { source: "platform", config_json: { detector: "email" } };
    expect(draft("dlp", { action_tier: "block" }, rule)).toEqual({
      section: "dlp_settings",
      entry: { action_tier: "block", rule: "email" },
    });
    expect(draft("dlp", {}, { ...rule, bundle_id: "b" })).toBeUndefined();
  });

  test("a pack keeps its rules", () => {
    const rule = { id: "r", sequence: 0, name: "r", action: { type: "ALLOW" }, description: "" };
    const pack = draft("packs", { name: "p" }, { pack_type: "custom", rules: [rule] });
    expect(pack?.entry).toEqual({
      name: "p",
      rules: [{ name: "r", action: { type: "ALLOW" } }],
    });
  });

  test("alert rules are left out, because their webhooks are secrets", () => {
    expect(draft("org-policy", { alert_rules: [{ name: "a" }] })).toBeUndefined();
  });
});
