import { describe, expect, test } from "vitest";
import {
  estimate,
  EXAMPLES,
  NOTHING,
  plus,
  type ReplayPage,
} from "../../src/pages/draft/replay_total";
import { numbers } from "./generated";

const PAGE: ReplayPage = {
  replayed: 0,
  changed: 0,
  changes: [],
  not_replayed: [],
  gaps: [],
  on_other_policies: 0,
  progress: 1,
  next_cursor: "",
};

function change(count: number, ids: readonly string[]): ReplayPage["changes"][number] {
  const policy = {
    layer: "static",
    policy_id: "p",
    name: "P",
    effect: "added",
    to_action: "block",
  };
  const example = {
    reason_code: "",
    message: "",
    user_id: "",
    from: "ALLOW",
    to: "BLOCK",
  } as const;
  const cause = { layer: "", policy_id: "", policy_name: "", effect: "", reason: "" };
  return {
    from: "ALLOW",
    to: "BLOCK",
    count,
    policies: [{ ...policy, count }],
    examples: ids.map((decision_id) => ({ ...example, ...cause, decision_id })),
  };
}

describe("the total of a replay", () => {
  test("adds up pages: changes, policies, reasons, and the first examples", () => {
    const reason = { reason: "a limit took part", count: 2 };
    const pages: ReplayPage[] = [
      {
        ...PAGE,
        replayed: 10,
        changed: 2,
        changes: [change(2, ["a", "b"])],
        not_replayed: [reason],
        on_other_policies: 1,
        progress: 0.5,
        next_cursor: "1.1.2",
      },
      {
        ...PAGE,
        replayed: 5,
        changed: 4,
        changes: [change(4, ["c", "d", "e", "f"])],
        not_replayed: [reason, { reason: "other", count: 9 }],
      },
    ];
    const [first, second] = pages as [ReplayPage, ReplayPage];
    expect(plus(NOTHING, first).progress).toBe(0.5);
    const total = plus(plus(NOTHING, first), second);
    expect(total).toMatchObject({
      replayed: 15,
      changed: 6,
      onOtherPolicies: 1,
      progress: 1,
      samples: undefined,
      notReplayed: [
        { reason: "other", count: 9 },
        { reason: "a limit took part", count: 4 },
      ],
    });
    expect(total.changes).toHaveLength(1);
    expect(total.changes[0]).toMatchObject({ count: 6, policies: [{ count: 6, name: "P" }] });
    const ids = total.changes[0]?.examples.map(({ decision_id }) => decision_id);
    expect(ids).toEqual(["a", "b", "c", "d", "e"].slice(0, EXAMPLES));
  });

  test("tells policies with other actions apart", () => {
    const one = change(1, []);
    const other = { ...one, policies: one.policies.map((p) => ({ ...p, to_action: "warn" })) };
    const total = plus(plus(NOTHING, { ...PAGE, changes: [one] }), { ...PAGE, changes: [other] });
    expect(total.changes[0]?.policies.map(({ to_action }) => to_action)).toEqual(["block", "warn"]);
  });

  test("keeps the coverage of the first page, which alone has it", () => {
    const coverage = {
      made: 5,
      recorded: 3,
      unrecorded: 2,
      removed: 0,
      share: 0.6,
      complete: false,
      counts: [],
    };
    const total = plus(plus(NOTHING, { ...PAGE, coverage }), PAGE);
    expect(total.coverage).toEqual(coverage);
  });

  test("counts the records of a page without samples as complete", () => {
    const sampled = [
      { sample_rate: 0.1, replayed: 20, changed: 2 },
      { sample_rate: 1, replayed: 5, changed: 1 },
    ];
    const pages: ReplayPage[] = [
      { ...PAGE, replayed: 7, changed: 3 },
      { ...PAGE, replayed: 25, changed: 3, samples: sampled },
      { ...PAGE, replayed: 4, changed: 0 },
    ];
    const total = pages.reduce(plus, NOTHING);
    expect(total.samples).toEqual([
      { rate: 1, replayed: 16, changed: 4 },
      { rate: 0.1, replayed: 20, changed: 2 },
    ]);
  });

  test.each(Array.from({ length: 50 }, (_, seed) => seed))(
    "is the same however the decisions are divided into pages (seed %i)",
    (seed) => {
      const number = numbers(seed);
      const decisions = Array.from({ length: 30 }, () => ({
        changed: number(3) === 0,
        rate: [1, 0.5, 0.1][number(3)] ?? 1,
      }));
      const pageOf = (part: typeof decisions): ReplayPage => {
        const rates = [...new Set(part.map(({ rate }) => rate))];
        const isSampled = rates.some((rate) => rate < 1);
        const changed = part.filter((one) => one.changed);
        const samples = (of: typeof decisions) =>
          rates.map((sample_rate) => {
            const same = of.filter(({ rate }) => rate === sample_rate);
            const count = same.filter((one) => one.changed).length;
            return { sample_rate, replayed: same.length, changed: count };
          });
        const own = change(changed.length, []);
        return {
          ...PAGE,
          replayed: part.length,
          changed: changed.length,
          changes:
            changed.length === 0
              ? []
              : [{ ...own, ...(isSampled ? { samples: samples(changed) } : {}) }],
          ...(isSampled ? { samples: samples(part) } : {}),
        };
      };
      const cut = number(31);
      const whole = plus(NOTHING, pageOf(decisions));
      const parts = [decisions.slice(0, cut), decisions.slice(cut)]
        .map(pageOf)
        .reduce(plus, NOTHING);
      const sorted = (total: typeof whole) =>
        [...(total.samples ?? [])].sort((a, b) => a.rate - b.rate);
      expect(sorted(parts)).toEqual(sorted(whole));
      expect(parts.changed).toBe(whole.changed);
      const inChange = (total: typeof whole) =>
        (total.changes[0]?.samples ?? []).reduce((sum, one) => sum + one.changed / one.rate, 0);
      expect(inChange(parts)).toBeCloseTo(inChange(whole));
    },
  );
});

describe("an estimate", () => {
  const count = ({ changed }: { changed: number }) => changed;

  test("is the one of the documentation", () => {
    // 5 records of a sample of 1% would change.
    const { count: value, low, high } = estimate([{ rate: 0.01, replayed: 1, changed: 5 }], count);
    expect([Math.round(value), Math.round(low), Math.round(high)]).toEqual([500, 214, 1166]);
  });

  test("of no change in a sample has an upper end above 0", () => {
    const { count: value, low, high } = estimate([{ rate: 0.01, replayed: 9, changed: 0 }], count);
    expect([value, low, Math.round(high)]).toEqual([0, 0, 380]);
  });

  test("of complete records is their number", () => {
    const rates = [{ rate: 1, replayed: 10, changed: 7 }];
    expect(estimate(rates, count)).toEqual({ count: 7, low: 7, high: 7 });
  });
});
