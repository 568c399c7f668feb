/** The processes that serve, and which of them need a look. */
import type { AnswerOf } from "../api/types";
import type { Tone } from "../ui/outcome";

export type Processes = AnswerOf<"ListProcesses">;
export type Process = Processes["processes"][number];

/** How often a process writes a heartbeat, in milliseconds; a page asks as often. */
export const BEAT_MS = 5_000;

/** Policies that were not confirmed for this long are a reason to look. */
const OLD_S = 15;

const TONES: Readonly<Record<string, Tone>> = {
  serving: "good",
  draining: "caution",
  lost: "bad",
};

export function toneOf({ state }: Process): Tone {
  return TONES[state] ?? "quiet";
}

/**
 * Whether a process does not serve by the policies in force. A revision that is a little behind is
 * no sign of it: a process writes every 5 seconds by which one it decides.
 */
export function isOld({ state, policies_age_seconds: age }: Process): boolean {
  return state === "lost" || age > OLD_S;
}
