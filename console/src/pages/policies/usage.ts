/** How much of a limit is used. */
import type { Schemas } from "../../api/types";
import { integer, words } from "../../ui/format";

export const BOUNDS = [
  "requests_per_minute",
  "daily_request_limit",
  "monthly_request_limit",
  "daily_token_limit",
  "monthly_token_limit",
  "daily_cost_limit_usd",
  "monthly_cost_limit_usd",
] as const;

export type Bound = (typeof BOUNDS)[number];

/** What people call a bound. */
export function boundName(bound: Bound): string {
  return words(bound.replace("_limit", "").replace("_usd", " in USD"));
}

/** Returns the part of a bound that is used, from 0 up; undefined if it is unlimited. */
export function share(usage: { used: number; limit: number | null } | null): number | undefined {
  if (usage === null || usage.limit === null) return undefined;
  if (usage.limit === 0) return 1;
  return usage.used / usage.limit;
}

/** Returns the bound that is used most, in words: `80 % of daily request`; empty if all are unlimited. */
export function fullest(usage: Schemas["LimitUsage"]): string {
  const shares = BOUNDS.map((bound) => ({ bound, part: share(usage[bound]) }));
  const [first] = shares
    .filter((one): one is { bound: Bound; part: number } => one.part !== undefined)
    .sort((a, b) => b.part - a.part);
  if (first === undefined) return "";
  return `${integer(Math.floor(first.part * 100))} % of ${boundName(first.bound).toLowerCase()}`;
}
