/** Outcomes and risk levels, in colours and in words. */

const TONES: Record<string, string> = {
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

/** An outcome, an action or a risk level as a coloured word. */
export function Badge({ value, label }: { value: string; label?: string }) {
  return (
    <span class={`badge ${TONES[value] ?? TONES[value.toUpperCase()] ?? "quiet"}`}>
      {label ?? value}
    </span>
  );
}
