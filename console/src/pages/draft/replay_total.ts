/** The sum of the pages of a replay. */
import type { AnswerOf, Schemas } from "../../api/types";

export type ReplayPage = AnswerOf<"Replay">;
export type Estimate = Pick<Schemas["ReplayEstimate"], "count" | "low" | "high">;
export type Coverage = Schemas["ReplayCoverage"];
type Change = Schemas["ReplayChange"];
type Policy = Schemas["ReplayPolicy"];
type Example = Schemas["ReplayExample"];

export interface Total {
  readonly replayed: number;
  readonly changed: number;
  /** The most frequent first. */
  readonly changes: readonly ChangeTotal[];
  readonly notReplayed: readonly ReasonCount[];
  readonly gaps: readonly ReasonCount[];
  readonly onOtherPolicies: number;
  /** The share of the selection that is finished, from 0 to 1. */
  readonly progress: number;
  readonly coverage: Coverage | undefined;
  /** By the rate of the sample; undefined if no record is from a sample. */
  readonly samples: readonly Sample[] | undefined;
}

export interface ChangeTotal {
  readonly from: string;
  readonly to: string;
  readonly count: number;
  readonly policies: readonly Policy[];
  readonly examples: readonly Example[];
  readonly samples: readonly Sample[] | undefined;
}

export interface ReasonCount {
  readonly reason: string;
  readonly count: number;
}

export interface Sample {
  readonly rate: number;
  readonly replayed: number;
  readonly changed: number;
}

/** How many examples of a change are kept. */
export const EXAMPLES = 5;

/** The quantile of the normal distribution for an interval of 95%. */
const Z = 1.959964;

export const NOTHING: Total = {
  replayed: 0,
  changed: 0,
  changes: [],
  notReplayed: [],
  gaps: [],
  onOtherPolicies: 0,
  progress: 0,
  coverage: undefined,
  samples: undefined,
};

/** Returns a total with one more page. */
export function plus(total: Total, page: ReplayPage): Total {
  const ours = { rate: 1, replayed: total.replayed, changed: total.changed };
  const theirs = { rate: 1, replayed: page.replayed, changed: page.changed };
  return {
    replayed: total.replayed + page.replayed,
    changed: total.changed + page.changed,
    changes: sumChanges(total.changes, page.changes),
    notReplayed: sumReasons(total.notReplayed, page.not_replayed),
    gaps: sumReasons(total.gaps, page.gaps),
    onOtherPolicies: total.onOtherPolicies + page.on_other_policies,
    progress: page.next_cursor === "" ? 1 : page.progress,
    coverage: total.coverage ?? page.coverage ?? undefined,
    samples: sumSamples(total.samples, ours, samplesOf(page), theirs),
  };
}

function sumChanges(ours: readonly ChangeTotal[], theirs: readonly Change[]): ChangeTotal[] {
  const changes = new Map(ours.map((one) => [`${one.from} ${one.to}`, one]));
  for (const one of theirs) {
    const key = `${one.from} ${one.to}`;
    const present = changes.get(key);
    const mine = { rate: 1, replayed: present?.count ?? 0, changed: present?.count ?? 0 };
    const other = { rate: 1, replayed: one.count, changed: one.count };
    changes.set(key, {
      from: one.from,
      to: one.to,
      count: mine.changed + one.count,
      policies: sumPolicies(present?.policies ?? [], one.policies),
      examples: [...(present?.examples ?? []), ...one.examples].slice(0, EXAMPLES),
      samples: sumSamples(present?.samples, mine, samplesOf(one), other),
    });
  }
  return byCount([...changes.values()]);
}

function sumPolicies(ours: readonly Policy[], theirs: readonly Policy[]): Policy[] {
  const key = (one: Policy) =>
    JSON.stringify([one.layer, one.policy_id, one.effect, one.from_action, one.to_action]);
  const policies = new Map(ours.map((one) => [key(one), one]));
  for (const one of theirs) {
    const count = (policies.get(key(one))?.count ?? 0) + one.count;
    policies.set(key(one), { ...one, count });
  }
  return byCount([...policies.values()]);
}

function sumReasons(ours: readonly ReasonCount[], theirs: readonly ReasonCount[]): ReasonCount[] {
  const counts = new Map<string, number>();
  for (const { reason, count } of [...ours, ...theirs]) {
    counts.set(reason, (counts.get(reason) ?? 0) + count);
  }
  return byCount([...counts].map(([reason, count]) => ({ reason, count })));
}

function samplesOf({
  samples,
}: {
  samples?: readonly Schemas["ReplaySample"][] | undefined;
}): Sample[] | undefined {
  return samples?.map(({ sample_rate, replayed, changed }) => ({
    rate: sample_rate,
    replayed,
    changed,
  }));
}

/** Adds samples up. A side without samples consists of records that were all kept. */
function sumSamples(
  ours: readonly Sample[] | undefined,
  oursIfAll: Sample,
  theirs: readonly Sample[] | undefined,
  theirsIfAll: Sample,
): Sample[] | undefined {
  if (ours === undefined && theirs === undefined) return undefined;
  const rates = new Map<number, Sample>();
  for (const one of [...(ours ?? [oursIfAll]), ...(theirs ?? [theirsIfAll])]) {
    const { replayed, changed } = rates.get(one.rate) ?? { replayed: 0, changed: 0 };
    rates.set(one.rate, {
      rate: one.rate,
      replayed: replayed + one.replayed,
      changed: changed + one.changed,
    });
  }
  return [...rates.values()].filter(({ replayed, changed }) => replayed > 0 || changed > 0);
}

function byCount<T extends { readonly count: number }>(rows: T[]): T[] {
  return rows.sort((a, b) => b.count - a.count);
}

/**
 * Estimates how many decisions there are in all: the score interval of Wilson for each rate; the
 * distances of its ends are added as squares. The documentation of replays has the formula.
 */
export function estimate(samples: readonly Sample[], count: (one: Sample) => number): Estimate {
  let [value, seen, below, above] = [0, 0, 0, 0];
  for (const one of samples) {
    const [k, rate] = [count(one), one.rate];
    const spread = Z * Z * (1 - rate);
    const half = Math.sqrt(spread * (spread + 4 * k));
    value += k / rate;
    seen += k;
    below += (k / rate - (2 * k + spread - half) / (2 * rate)) ** 2;
    above += ((2 * k + spread + half) / (2 * rate) - k / rate) ** 2;
  }
  return {
    count: value,
    low: Math.max(value - Math.sqrt(below), seen),
    high: value + Math.sqrt(above),
  };
}
