import { describe, expect, test } from "vitest";
import { HOUR } from "../src/model/periods";
import { type LimitUsage, nearest } from "../src/pages/overview/limits";
import { parseMetrics } from "../src/pages/overview/metrics";
import {
  latencySeries,
  latest,
  outcomeSeries,
  riskSeries,
  type Summary,
  totalsOf,
} from "../src/pages/overview/summary";
import { rate } from "../src/pages/overview/totals";

const START = Date.parse("2026-02-26T10:00:00Z");
const bucket = (minute: number, members: Partial<Summary["buckets"][number]> = {}) => ({
  start: new Date(START + minute * 60_000).toISOString(),
  outcomes: [],
  risk: [],
  duration_us_p50: null,
  duration_us_p99: null,
  ...members,
});
const SUMMARY: Summary = {
  bucket_seconds: 60,
  buckets: [
    bucket(0, {
      outcomes: [
        { outcome: "ALLOW", made: 120, recorded: 12 },
        { outcome: "BLOCK", made: 60, recorded: 60 },
      ],
      risk: [
        { level: "none", count: 12 },
        { level: "critical", count: 60 },
      ],
      duration_us_p50: 100,
      duration_us_p99: 900,
    }),
    bucket(1, { outcomes: [{ outcome: "ALLOW", made: 30, recorded: 3 }] }),
  ],
  top_policies: [],
  top_users: [],
  top_agents: [],
  top_models: [],
  records_read: 75,
  records_complete: true,
};

describe("the summary", () => {
  test("is added up over the period", () => {
    const totals = totalsOf(SUMMARY, HOUR);
    expect(totals).toEqual({
      made: 210,
      recorded: 75,
      stopped: 60,
      risky: 60,
      perSecond: 210 / 3600,
    });
  });

  test("is decisions a second; the last part of the period has not ended", () => {
    const series = outcomeSeries(SUMMARY, START + 75_000, (name) => name);
    expect(series.map(({ name, values }) => [name, values])).toEqual([
      ["ALLOW", [2, 2]],
      ["BLOCK", [1, 0]],
    ]);
  });

  test("shows no level of risk that did not occur, and the latest latency that is known", () => {
    expect(riskSeries(SUMMARY, (name) => name).map(({ name }) => name)).toEqual([
      "none",
      "critical",
    ]);
    expect(latencySeries(SUMMARY).map(latest)).toEqual([100, 900]);
    expect(latest(undefined)).toBeUndefined();
  });

  test("has rates that people can read", () => {
    expect([0, 0.001, 0.5, 12.34].map(rate)).toEqual([
      "none a second",
      "less than 1 a minute",
      "30 a minute",
      "12.3 a second",
    ]);
  });
});

describe("limits", () => {
  const usage = (used: number, limit: number | null) => ({
    used,
    limit,
    remaining: null,
    window_start: null,
    resets_at: null,
  });
  const limit = (id: string, members: Partial<LimitUsage>): LimitUsage => ({
    limit_id: id,
    scope: "user",
    subject_id: id,
    is_active: true,
    daily_request_limit: null,
    monthly_request_limit: null,
    daily_token_limit: null,
    monthly_token_limit: null,
    daily_cost_limit_usd: null,
    monthly_cost_limit_usd: null,
    requests_per_minute: null,
    ...members,
  });

  test("are listed by how near they are, without those that bound nothing", () => {
    const bounds = nearest([
      limit("a", { daily_request_limit: usage(1, 10), monthly_cost_limit_usd: usage(9, 10) }),
      limit("b", { requests_per_minute: usage(5, 0), daily_token_limit: usage(7, null) }),
      limit("c", { is_active: false, daily_request_limit: usage(10, 10) }),
    ]);
    expect(bounds.map(({ limitId, bound, used, share }) => [limitId, bound, used, share])).toEqual([
      ["b", "requests a minute", "5", 1],
      ["a", "US dollars a month", "9.00", 0.9],
      ["a", "requests a day", "1", 0.1],
    ]);
  });
});

describe("metrics", () => {
  test("are added up over their labels", () => {
    const sums = parseMetrics(
      '# HELP a text\na{x="1 } 2"} 3.0\na{x="2"} 1.5\nb 7\nc{l="+Inf"} +Inf\n\n',
    );
    expect([...sums]).toEqual([
      ["a", 4.5],
      ["b", 7],
      ["c", Infinity],
    ]);
  });
});
