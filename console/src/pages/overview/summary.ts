/** The summary of a period, loaded again every few seconds. */
import { type Signal, useSignal } from "@preact/signals";
import type { AnswerOf } from "../../api/types";
import type { Period } from "../../model/periods";
import { api, may } from "../../session";
import type { Series } from "../../ui/chart";
import { OUTCOMES, RISK_LEVELS } from "../../ui/outcome";
import { type Remote, useRemote } from "../../ui/remote";

export type Summary = AnswerOf<"SummarizeRecords">;
type Bucket = Summary["buckets"][number];

export interface LiveSummary extends Remote<Summary> {
  /** When the value came from the server; empty before there is one. */
  readonly updated: Signal<string>;
}

const EVERY_MS = 5_000;
/** The length of a bucket is a multiple of a minute, so that a short period has few. */
const MOST_BUCKETS = 84;

export function useSummary(period: Period): LiveSummary {
  const updated = useSignal("");
  const remote = useRemote(
    `summary ${period.key}`,
    async (signal) => {
      if (!may("SummarizeRecords")) return EMPTY;
      const since = new Date(Date.now() - period.seconds * 1_000).toISOString();
      const buckets = Math.min(MOST_BUCKETS, period.seconds / 60);
      const summary = await api.call("SummarizeRecords", { query: { since, buckets }, signal });
      updated.value = new Date().toISOString();
      return summary;
    },
    EVERY_MS,
  );
  return { ...remote, updated };
}

const EMPTY: Summary = {
  bucket_seconds: 60,
  buckets: [],
  top_policies: [],
  top_users: [],
  top_agents: [],
  top_models: [],
  records_read: 0,
  records_complete: true,
};

export interface Totals {
  readonly made: number;
  readonly recorded: number;
  readonly stopped: number;
  /** Records with the risk high or critical. */
  readonly risky: number;
  readonly perSecond: number;
}

const STOPPED: ReadonlySet<string> = new Set(["BLOCK", "CANCEL", "ESCALATE", "PROMPT"]);

export function totalsOf(summary: Summary, period: Period): Totals {
  const outcomes = summary.buckets.flatMap((bucket) => bucket.outcomes);
  const made = sum(outcomes.map((count) => count.made));
  return {
    made,
    recorded: sum(outcomes.map((count) => count.recorded)),
    stopped: sum(outcomes.filter(({ outcome }) => STOPPED.has(outcome)).map((count) => count.made)),
    risky: sum(
      summary.buckets
        .flatMap((bucket) => bucket.risk)
        .filter(({ level }) => level === "high" || level === "critical")
        .map(({ count }) => count),
    ),
    perSecond: made / period.seconds,
  };
}

export function timesOf(summary: Summary): number[] {
  return summary.buckets.map(startOf);
}

/** Colours that differ enough for one chart. */
const OUTCOME_COLOURS: Readonly<Record<string, string>> = {
  ALLOW: "--good",
  WARN: "--caution",
  ALLOW_WITH_OVERRIDE: "--soft",
  ROUTE_TO: "--accent",
  REDACT: "--special",
  PROMPT: "--edge",
  ESCALATE: "--info",
  CANCEL: "--ink",
  BLOCK: "--bad",
};

/** Returns decisions a second by outcome, without outcomes that did not occur. */
export function outcomeSeries(summary: Summary, nowMs: number, nameOf: (name: string) => string) {
  return OUTCOMES.map((name): Series => {
    const values = summary.buckets.map((bucket) => {
      const made = bucket.outcomes.find(({ outcome }) => outcome === name)?.made ?? 0;
      return made / elapsed(bucket, summary, nowMs);
    });
    return { name: nameOf(name), colour: OUTCOME_COLOURS[name] ?? "--soft", values };
  }).filter(occurs);
}

const RISK_COLOURS: Readonly<Record<string, string>> = {
  none: "--edge",
  low: "--good",
  medium: "--caution",
  high: "--special",
  critical: "--bad",
};

/** Returns records by risk level, without levels that did not occur. */
export function riskSeries(summary: Summary, nameOf: (name: string) => string): Series[] {
  return RISK_LEVELS.map((name): Series => {
    const values = summary.buckets.map(
      (bucket) => bucket.risk.find(({ level }) => level === name)?.count ?? 0,
    );
    return { name: nameOf(name), colour: RISK_COLOURS[name] ?? "--soft", values };
  }).filter(occurs);
}

export function latencySeries(summary: Summary): Series[] {
  return [
    {
      name: "p50",
      colour: "--info",
      values: summary.buckets.map((bucket) => bucket.duration_us_p50),
    },
    {
      name: "p99",
      colour: "--caution",
      values: summary.buckets.map((bucket) => bucket.duration_us_p99),
    },
  ];
}

/** Returns the newest value of a series that has one. */
export function latest(series: Series | undefined): number | undefined {
  const values = (series?.values ?? []).filter((value) => value !== null);
  return values.at(-1);
}

/** How long a bucket has lasted, in seconds: the last one has not ended yet. */
function elapsed(bucket: Bucket, summary: Summary, nowMs: number): number {
  const passed = nowMs / 1_000 - startOf(bucket);
  return Math.min(summary.bucket_seconds, Math.max(passed, 10));
}

function startOf(bucket: Bucket): number {
  return Date.parse(bucket.start ?? "") / 1_000;
}

function occurs({ values }: Series): boolean {
  return values.some((value) => value !== null && value > 0);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
