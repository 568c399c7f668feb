/** How near limits are to their bounds. */
import type { Schemas } from "../../api/types";
import { integer } from "../../ui/format";

export type LimitUsage = Schemas["LimitUsage"];

export interface Nearness {
  readonly limitId: string;
  readonly subject: string;
  readonly bound: string;
  readonly used: string;
  readonly limit: string;
  /** The used share; above 1 if the limit was lowered. */
  readonly share: number;
  readonly resetsAt: string | null;
}

const BOUNDS = {
  requests_per_minute: "requests a minute",
  daily_request_limit: "requests a day",
  monthly_request_limit: "requests a month",
  daily_token_limit: "tokens a day",
  monthly_token_limit: "tokens a month",
  daily_cost_limit_usd: "US dollars a day",
  monthly_cost_limit_usd: "US dollars a month",
} as const satisfies Partial<Record<keyof LimitUsage, string>>;

/** From this share on, a limit is near its bound. */
export const NEAR = 0.8;

/** Returns the bounds of active limits, the nearest first. */
export function nearest(limits: readonly LimitUsage[]): Nearness[] {
  const names = Object.keys(BOUNDS) as (keyof typeof BOUNDS)[];
  return limits
    .filter(({ is_active }) => is_active)
    .flatMap((one) => names.flatMap((name) => nearness(one, name)))
    .sort((a, b) => b.share - a.share);
}

function nearness(one: LimitUsage, name: keyof typeof BOUNDS): Nearness[] {
  const usage = one[name];
  const limit = usage?.limit;
  if (usage === null || limit === null || limit === undefined) return [];
  const figure = name.endsWith("_usd") ? (value: number) => value.toFixed(2) : integer;
  return [
    {
      limitId: one.limit_id,
      subject: `${one.scope} ${one.subject_id}`,
      bound: BOUNDS[name],
      used: figure(usage.used),
      limit: figure(limit),
      share: limit === 0 ? 1 : usage.used / limit,
      resetsAt: usage.resets_at,
    },
  ];
}
