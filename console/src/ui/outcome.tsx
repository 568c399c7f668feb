/** Outcomes and risk levels, in colours and in words. */

export type Tone = "good" | "caution" | "bad" | "info" | "special" | "quiet";

const TONES: Readonly<Record<string, Tone>> = {
  ALLOW: "good",
  WARN: "caution",
  ALLOW_WITH_OVERRIDE: "caution",
  ROUTE_TO: "info",
  REDACT: "special",
  PROMPT: "info",
  ESCALATE: "info",
  CANCEL: "bad",
  BLOCK: "bad",
  none: "quiet",
  low: "good",
  medium: "caution",
  high: "bad",
  critical: "bad",
};

/** All outcomes, from the mildest to the strictest. */
export const OUTCOMES = [
  "ALLOW",
  "WARN",
  "ALLOW_WITH_OVERRIDE",
  "ROUTE_TO",
  "REDACT",
  "PROMPT",
  "ESCALATE",
  "CANCEL",
  "BLOCK",
] as const;

export const RISK_LEVELS = ["none", "low", "medium", "high", "critical"] as const;

export interface BadgeProps {
  readonly value: string;
  readonly label?: string;
  /** The colour; by default that of the outcome, the action or the risk level. */
  readonly tone?: Tone;
}

/** An outcome, an action, a risk level or a state as a coloured word. */
export function Badge({ value, label, tone }: BadgeProps) {
  const colour = tone ?? TONES[value] ?? TONES[value.toUpperCase()] ?? "quiet";
  return <span class={`badge ${colour}`}>{label ?? value}</span>;
}
