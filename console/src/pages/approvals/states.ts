/** The states of approvals, and how long they last. */
import type { AnswerOf } from "../../api/types";
import type { Tone } from "../../ui/outcome";

export type Approval = AnswerOf<"GetApproval">;

const TONES: Readonly<Record<string, Tone>> = {
  pending: "caution",
  approved: "good",
  used: "good",
  denied: "bad",
};

/** Returns the colour of a state. */
export function toneOf(state: string): Tone {
  return TONES[state] ?? "quiet";
}

/** Whether it can still be answered. An approval can be taken back until it is used. */
export function isOpen({ state }: Approval): boolean {
  return state === "pending" || state === "approved";
}

/** `2 h 05 min`, `4 min 09 s`; `over` at the end. */
export function countdown(until: string | null, nowMs: number): string {
  const end = until === null ? Number.NaN : Date.parse(until);
  if (Number.isNaN(end)) return "–";
  const left = Math.floor((end - nowMs) / 1000);
  if (left <= 0) return "over";
  const two = (value: number) => String(value).padStart(2, "0");
  const days = Math.floor(left / 86_400);
  const hours = Math.floor((left % 86_400) / 3_600);
  const minutes = Math.floor((left % 3_600) / 60);
  if (days > 0) return `${days} d ${two(hours)} h`;
  if (hours > 0) return `${hours} h ${two(minutes)} min`;
  return minutes > 0 ? `${minutes} min ${two(left % 60)} s` : `${left} s`;
}

/** Returns who asks: the user and the agent of the request, or else the caller. */
export function requesterOf({ record, asked_by }: Approval): string {
  const { user_id = "", agent_id = "" } = record?.subject ?? {};
  const named = [user_id, agent_id === "" ? "" : `agent ${agent_id}`].filter((one) => one !== "");
  return named.length === 0 ? asked_by : named.join(", ");
}

/** Returns what is asked for, in one line. */
export function subjectOf({ record }: Approval): string {
  const { tool = "", action = "", redacted_text: text, model } = record ?? {};
  const parts = [tool, action, text ?? ""].filter((part) => part !== "");
  const line = parts.length > 0 ? parts.join(" · ") : (model?.model ?? "");
  return line.replace(/\s+/g, " ").slice(0, 200);
}
