import { describe, expect, test } from "vitest";
import {
  allChanges,
  readPolicyFile,
  readSection,
  same,
  sectionsThatDiffer,
  withEntries,
  withEntry,
  withoutEntry,
} from "../../src/draft/document";
import { withRenamed } from "../../src/draft/references";
import { entryName } from "../../src/draft/sections";
import { entryOf, summaryOf, valuesOf } from "../../src/pages/draft/entry_form";
import { problemOf } from "../../src/pages/draft/problems";
import { document, numbers } from "./generated";

const BASE = {
  static_policies: [
    { name: "a", action: "log" },
    { name: "b", action: "warn" },
  ],
  chain: { packs: ["House"] },
};

describe("the changes between two documents", () => {
  test("are added, changed and removed policies, by section", () => {
    const after = {
      static_policies: [
        { name: "c", action: "log" },
        { name: "b", action: "block" },
      ],
      chain: [],
    };
    expect(
      allChanges(BASE, after).map(({ change, section, name }) => [change, section, name]),
    ).toEqual([
      ["added", "static_policies", "c"],
      ["changed", "static_policies", "b"],
      ["removed", "static_policies", "a"],
      ["removed", "chain", ""],
    ]);
    expect(sectionsThatDiffer(BASE, after)).toEqual(["static_policies", "chain"]);
  });

  test("do not count the order of entries and of fields", () => {
    const after = {
      ...BASE,
      static_policies: [{ action: "warn", name: "b" }, BASE.static_policies[0]!],
    };
    expect(allChanges(BASE, after)).toEqual([]);
  });

  test("tell an empty section from none", () => {
    expect(allChanges({ limits: [] }, {})).toEqual([]);
    expect(allChanges({ chain: [] }, {})).toEqual([]);
    // A chain without packs is a chain.
    expect(allChanges({}, { chain: {} })).toMatchObject([{ change: "added", section: "chain" }]);
  });

  test.each(Array.from({ length: 100 }, (_, seed) => seed))(
    "lead from one document to the other (seed %i)",
    (seed) => {
      const number = numbers(seed);
      const [before, after] = [document(number), document(number)];
      const result = allChanges(before, after).reduce(
        (policies, { section, name, after: entry }) =>
          entry === undefined
            ? withoutEntry(policies, section, name)
            : withEntry(policies, section, entry, name),
        before,
      );
      expect(allChanges(result, after)).toEqual([]);
    },
  );
});

test("names are those of the server's changes", () => {
  expect(entryName("limits", { scope: "group", subject_id: "sales" })).toBe("group sales");
  expect(entryName("packs", { name: "House", id: "7" })).toBe("7");
  expect(entryName("packs", { name: "House" })).toBe("House");
  expect(entryName("overrides", { policy_id: "sys_pii_email" })).toBe("sys_pii_email");
  expect(entryName("org_policy", { mode: "monitor" })).toBe("");
  expect(entryName("dlp", {})).toBe("");
});

test("JSON values are the same if their members are", () => {
  expect(same({ a: [1, { b: null }] }, { a: [1, { b: null }] })).toBe(true);
  expect(same({ a: undefined }, { b: 1 })).toBe(false);
  expect(same([], {})).toBe(false);
  expect(same([1], [1, 2])).toBe(false);
  expect(same(null, {})).toBe(false);
});

describe("a policy file", () => {
  test("is read with and without what is around its policies", () => {
    const policies = { static_policies: [{ name: "a" }] };
    const whole = { format: "pdp-policies/2", tenant: "acme", policies };
    for (const value of [whole, policies]) {
      expect(readPolicyFile(JSON.stringify(value)).document).toEqual(policies);
    }
  });

  test.each([
    ["{", /not JSON/],
    ["[]", /is an object/],
    ['{"policies": 1}', /sections/],
    ['{"static": []}', /static is not a section/],
    ['{"limits": {}}', /limits must be a list/],
    ['{"limits": [1]}', /limits\[0\] must be an object/],
    ['{"dlp": [{}]}', /dlp\[0\] has no name/],
    [
      '{"packs": [{"name": "a"}, {"name": "b"}, {"name": "a"}]}',
      /packs\[2\] has the name of packs\[0\]: a/,
    ],
  ])("of the text %s is refused", (text, reason) => {
    expect(readPolicyFile(text).problem).toMatch(reason);
  });

  test("may write a section with one policy as a list, whose entries follow each other", () => {
    const parts = [{ mode: "monitor", logging_level: "full" }, { mode: "enforce" }];
    expect(readSection("org_policy", parts).document).toEqual({
      org_policy: { mode: "enforce", logging_level: "full" },
    });
    expect(readSection("org_policy", []).document).toEqual({ org_policy: [] });
  });
});

describe("a renamed policy", () => {
  const policies = {
    static_policies: [{ name: "old" }],
    dlp: [{ detector_name: "old" }],
    compliance_bundles: [{ name: "B", rule_ids: ["old", "other"] }],
    user_groups: [
      { name: "old", dlp_rules: [{ rule_id: "old", enabled: true }], bundle_ids: ["B"] },
    ],
    packs: [{ name: "old", rules: [{ name: "R" }] }],
    chain: { packs: ["first", "old"] },
    user_chains: [{ user_id: "old", packs: [{ pack: "old", sequence: 3 }] }],
    exceptions: [{ name: "old", policies: ["old"], dlp_rules: ["old"], rules: ["old > R", "R"] }],
  };

  test("keeps what refers to it, and changes nothing that only has the same name", () => {
    const renamed = withRenamed(policies, "dlp", "old", { detector_name: "new" });
    expect(renamed).toEqual({
      ...policies,
      dlp: [{ detector_name: "new" }],
      compliance_bundles: [{ name: "B", rule_ids: ["new", "other"] }],
      user_groups: [{ ...policies.user_groups[0], dlp_rules: [{ rule_id: "new", enabled: true }] }],
      exceptions: [{ ...policies.exceptions[0], dlp_rules: ["new"] }],
    });
  });

  test("that is a pack has its new name in chains and exceptions", () => {
    const renamed = withRenamed(policies, "packs", "old", { name: "new", rules: [{ name: "R" }] });
    expect(renamed).toMatchObject({
      chain: { packs: ["first", "new"] },
      user_chains: [{ user_id: "old", packs: [{ pack: "new", sequence: 3 }] }],
      exceptions: [{ name: "old", rules: ["new > R", "R"], policies: ["old"] }],
    });
  });

  test("touches no section that does not refer to it", () => {
    const renamed = withRenamed(policies, "static_policies", "old", { name: "new" });
    expect(sectionsThatDiffer(policies, renamed)).toEqual(["static_policies", "exceptions"]);
    expect(renamed["user_groups"]).toBe(policies.user_groups);
  });
});

describe("a violation", () => {
  const policies = { ...BASE, packs: [{ name: "House" }] };

  test.each([
    ["policies.static_policies[1].pattern", "static_policies", "b", "pattern"],
    ["overlay.policies.static_policies[0]", "static_policies", "a", ""],
    ["policies.packs[0].rules[2].action.type", "packs", "House", "rules[2].action.type"],
    ["policies/packs/0/name", "packs", "House", "name"],
    ["policies.chain.packs[0]", "chain", "", "packs[0]"],
    ["policies.limits", "limits", undefined, ""],
    ["policies.static_policies[9].name", "static_policies", undefined, "name"],
  ])("at %s leads to its entry", (field, section, name, inside) => {
    const problem = problemOf({ field, reason: "no" }, policies);
    expect(problem).toEqual({ section, name, field: inside, reason: "no" });
  });

  test("that is about no section has no entry", () => {
    expect(problemOf({ field: "summary", reason: "" }, policies)).toBeUndefined();
    expect(problemOf({ field: "policies.nothing[0]", reason: "" }, policies)).toBeUndefined();
  });
});

describe("the form of a chain", () => {
  test("has packs that can be moved, and gives back what the file had", () => {
    for (const packs of [["a", "b"], [{ pack: "a", sequence: 4 }, "b"], []]) {
      const entry = { combining_algorithm: "deny_overrides", packs };
      expect(entryOf("chain", valuesOf("chain", entry))).toEqual(entry);
    }
    expect(valuesOf("chain", { packs: ["a"] })).toEqual({ packs: [{ pack: "a" }] });
    expect(entryOf("chain", {})).toEqual({});
    // Only chains have such a field.
    expect(valuesOf("user_groups", { packs: ["a"] })).toEqual({ packs: ["a"] });
  });
});

test("an entry is summed up in a line", () => {
  const entry = {
    name: "a",
    description: "d",
    action: "block",
    enabled: false,
    scope: ["text", "output"],
  };
  expect(summaryOf("static_policies", entry)).toBe(
    "action: block · enabled: no · scope: text, output",
  );
});

test("entries of a section with one policy are written as that policy", () => {
  expect(withEntries({}, "chain", [{ packs: [] }])).toEqual({ chain: { packs: [] } });
  expect(withEntries({}, "chain", [])).toEqual({ chain: [] });
});
