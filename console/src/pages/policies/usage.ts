/** How much of a limit is used. */
import type { Schemas } from "../../api/types";
import { integer } from "../../ui/format";

/** The bounds of a limit, and what people call them. */
const NAMES = {
  requests_per_minute: "Requests a minute",
  daily_request_limit: "Requests a day",
  monthly_request_limit: "Requests a month",
  daily_token_limit: "Tokens a day",
  monthly_token_limit: "Tokens a month",
  daily_cost_limit_usd: "US dollars a day",
  monthly_cost_limit_usd: "US dollars a month",
} as const;

export type Bound = keyof typeof NAMES;

export const BOUNDS = Object.keys(NAMES) as readonly Bound[];

/** What people call a bound. */
export function boundName(bound: Bound): string {
  return NAMES[bound];
}

/** Returns the part of a bound that is used, from 0 up; undefined if it is unlimited. */
export function share(usage: { used: number; limit: number | null } | null): number | undefined {
  if (usage === null || usage.limit === null) return undefined;
  if (usage.limit === 0) return 1;
  return usage.used / usage.limit;
}

/** Returns the bound that is used most: `Tokens a day: 80 %`; empty if all are unlimited. */
export function fullest(usage: Schemas["LimitUsage"]): string {
  const shares = BOUNDS.map((bound) => ({ bound, part: share(usage[bound]) }));
  const [first] = shares
    .filter((one): one is { bound: Bound; part: number } => one.part !== undefined)
    .sort((a, b) => b.part - a.part);
  if (first === undefined) return "";
  return `${boundName(first.bound)}: ${integer(Math.floor(first.part * 100))} %`;
}
