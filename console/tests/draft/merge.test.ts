import { describe, expect, test } from "vitest";
import { allChanges, byName, findEntry } from "../../src/draft/document";
import { SECTIONS } from "../../src/draft/sections";
import { conflictKey, merge, resolve, type Side } from "../../src/pages/draft/draft_merge";
import { document, numbers } from "./generated";

const SEEDS = Array.from({ length: 100 }, (_, index) => index);

function three(seed: number) {
  const number = numbers(seed);
  return { base: document(number), mine: document(number), theirs: document(number) };
}

describe("a merge of random policies", () => {
  test.each(SEEDS)("holds to its laws (seed %i)", (seed) => {
    const { base, mine, theirs } = three(seed);
    // If one side has changed nothing, the result is the other side.
    expect(allChanges(mine, merge(base, mine, base).document)).toEqual([]);
    expect(allChanges(theirs, merge(base, base, theirs).document)).toEqual([]);
    // What both have changed in the same way is no conflict.
    expect(merge(base, mine, mine).conflicts).toEqual([]);
    expect(allChanges(mine, merge(base, mine, mine).document)).toEqual([]);
    // Neither side has more conflicts than the other.
    const { document: merged, conflicts } = merge(base, mine, theirs);
    const mirrored = merge(base, theirs, mine).conflicts;
    expect(mirrored.map(conflictKey).sort()).toEqual(conflicts.map(conflictKey).sort());
    // Each policy is as one of the two sides has it: nothing is lost, and nothing comes from nowhere.
    const disputed = new Set(conflicts.map(conflictKey));
    for (const { key: section } of SECTIONS) {
      const all = [base, mine, theirs, merged].map((one) => byName(one, section));
      for (const name of new Set(all.flatMap((one) => [...one.keys()]))) {
        const [was, my, their, result] = all.map((one) => one.get(name));
        if (disputed.has(conflictKey({ section, name }))) expect(result).toEqual(their);
        else expect(result).toEqual(same(my, was) ? their : my);
      }
    }
  });

  test.each(SEEDS)("is decided conflict by conflict (seed %i)", (seed) => {
    const { base, mine, theirs } = three(seed);
    const merged = merge(base, mine, theirs);
    for (const side of ["mine", "theirs", "both"] as const) {
      const sides = new Map<string, Side>(merged.conflicts.map((one) => [conflictKey(one), side]));
      const resolved = resolve(merged, sides);
      for (const conflict of merged.conflicts) {
        expect(findEntry(resolved, conflict.section, conflict.name)).toEqual(conflict[side]);
      }
      const others = allChanges(merged.document, resolved).map(conflictKey);
      expect(others.filter((key) => !sides.has(key))).toEqual([]);
    }
  });
});

function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

describe("a conflict", () => {
  const base = { static_policies: [{ name: "a", action: "log", pattern: "x" }] };

  test("names what each side has made, and has both if they are about different fields", () => {
    const mine = { static_policies: [{ name: "a", action: "block", pattern: "x" }] };
    const theirs = { static_policies: [{ name: "a", action: "log", pattern: "y", message: "m" }] };
    expect(merge(base, mine, theirs).conflicts).toEqual([
      {
        section: "static_policies",
        name: "a",
        base: base.static_policies[0],
        mine: mine.static_policies[0],
        theirs: theirs.static_policies[0],
        both: { name: "a", action: "block", pattern: "y", message: "m" },
      },
    ]);
  });

  test("about one field, or with a policy that is gone, cannot have both", () => {
    const mine = { static_policies: [{ name: "a", action: "block", pattern: "x" }] };
    const theirs = { static_policies: [{ name: "a", action: "warn", pattern: "x" }] };
    expect(merge(base, mine, theirs).conflicts[0]?.both).toBeUndefined();
    const [gone] = merge(base, mine, { static_policies: [] }).conflicts;
    expect(gone).toMatchObject({ theirs: undefined, both: undefined });
  });

  test("keeps the field that one side has removed away, if both are taken", () => {
    const mine = { static_policies: [{ name: "a", pattern: "x" }] };
    const theirs = { static_policies: [{ name: "a", action: "log", pattern: "y" }] };
    expect(merge(base, mine, theirs).conflicts[0]?.both).toEqual({ name: "a", pattern: "y" });
  });
});
