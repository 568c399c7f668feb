/** "What would change": a replay of recorded decisions, page by page. */
import { effect } from "@preact/signals";
import type { ApiError } from "../../api/errors";
import type { BodyOf } from "../../api/types";
import { currentTenant, type Draft, overlayOf } from "../../draft/draft_store";
import { ofSession } from "../../draft/kept";
import { api, identity } from "../../session";
import { asApiError } from "../../ui/remote";
import { EXAMPLES, NOTHING, plus, type Total } from "./replay_total";

type Outcomes = NonNullable<NonNullable<BodyOf<"Replay">["recorded"]>["outcomes"]>;

/** Which decisions are replayed. */
export interface Selection {
  readonly period: PeriodKey;
  /** Empty means all outcomes. */
  readonly outcomes: Outcomes;
  /** How many records are replayed at most. */
  readonly limit: number;
}

export const PERIODS = {
  hour: "the last hour",
  day: "the last 24 hours",
  yesterday: "yesterday",
  week: "the last 7 days",
  month: "the last 30 days",
} as const;
export type PeriodKey = keyof typeof PERIODS;

export const LIMITS = [1_000, 10_000, 100_000] as const;

/** Records of one call: few enough that the progress moves and a stop comes soon. */
const PAGE = 500;
const HOUR = 3_600_000;

export interface ReplayRun {
  /** The draft as it was replayed. */
  readonly draft: Draft;
  readonly selection: Selection;
  readonly since: Date;
  readonly until: Date;
  readonly total: Total;
  readonly state: "running" | "finished" | "limited" | "stopped" | "failed";
  readonly error: ApiError | undefined;
}

/** The last replay of a draft. It goes on while other pages are shown. */
export const lastRun = ofSession<ReplayRun>();
let controller: AbortController | undefined;

// A replay is of one tenant and for one user: its next page must not be asked for by another.
effect(() => {
  void currentTenant.value;
  stopReplay();
  if (identity.value === undefined) controller = undefined;
});

/** Returns the beginning and the end of a period, in the time zone of the browser. */
export function periodOf(key: PeriodKey, now: Date): { since: Date; until: Date } {
  const before = (hours: number) => new Date(now.getTime() - hours * HOUR);
  switch (key) {
    case "hour":
      return { since: before(1), until: now };
    case "day":
      return { since: before(24), until: now };
    case "yesterday": {
      const day = (ago: number) => new Date(now.getFullYear(), now.getMonth(), now.getDate() - ago);
      return { since: day(1), until: day(0) };
    }
    case "week":
      return { since: before(7 * 24), until: now };
    case "month":
      return { since: before(30 * 24), until: now };
  }
}

/** Replays recorded decisions with a draft. The result appears in `lastRun`, page by page. */
export async function startReplay(draft: Draft, selection: Selection): Promise<void> {
  controller?.abort();
  const own = new AbortController();
  controller = own;
  const period = periodOf(selection.period, new Date());
  let run: ReplayRun = {
    draft,
    selection,
    ...period,
    total: NOTHING,
    state: "running",
    error: undefined,
  };
  lastRun.value = run;
  const show = (changes: Partial<ReplayRun>) => {
    run = { ...run, ...changes };
    if (controller === own) lastRun.value = run;
  };
  try {
    const isComplete = await replayPages(draft, selection, period, own.signal, (total) =>
      show({ total }),
    );
    show({ state: isComplete ? "finished" : "limited" });
  } catch (cause) {
    if (own.signal.aborted) show({ state: "stopped" });
    else show({ state: "failed", error: asApiError(cause) });
  }
}

export function stopReplay(): void {
  controller?.abort();
}

/** Returns whether the whole selection was replayed, not only as many records as allowed. */
async function replayPages(
  draft: Draft,
  { outcomes, limit }: Selection,
  { since, until }: { since: Date; until: Date },
  abort: AbortSignal,
  show: (total: Total) => void,
): Promise<boolean> {
  const recorded = {
    since: since.toISOString(),
    until: until.toISOString(),
    ...(outcomes.length === 0 ? {} : { outcomes }),
  };
  let total = NOTHING;
  let cursor = "";
  for (let left = limit; left > 0; left -= PAGE) {
    const page = await api.call("Replay", {
      body: {
        overlay: overlayOf(draft),
        recorded,
        limit: Math.min(PAGE, left),
        cursor,
        examples: EXAMPLES,
      },
      signal: abort,
      timeout: 0,
    });
    total = plus(total, page);
    show(total);
    cursor = page.next_cursor;
    if (cursor === "") return true;
  }
  return false;
}
