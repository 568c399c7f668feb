import { expect, test } from "vitest";
import { type Answer, changesBetween } from "../../src/pages/playground/runs";

function answer(outcome: string, matches: readonly object[], rest: object = {}): Answer {
  return {
    decision: {
      decision_id: String(Math.random()),
      outcome,
      reason_code: "",
      message: "",
      risk: null,
      revision: 1,
      matches,
      ...rest,
    },
    layers: [{ layer: "kill_switch", outcome }],
  } as unknown as Answer;
}

test("what differs is said in words; what always differs is not", () => {
  const falcon = { layer: "static", policy_id: "p", name: "Falcon", action: "log_only" };
  const unnamed = { ...falcon, policy_id: "q", name: "" };
  expect(changesBetween(answer("ALLOW", [unnamed]), answer("ALLOW", [unnamed]))).toEqual([]);
  const redacted = { redacted_text: "[X]" };
  expect(changesBetween(answer("ALLOW", [unnamed]), answer("BLOCK", [falcon], redacted))).toEqual([
    { what: "Outcome", before: "ALLOW", after: "BLOCK" },
    { what: "Layer: Kill switch", before: "ALLOW", after: "BLOCK" },
    { what: "Match: q", before: "Log only", after: "" },
    { what: "Match: Falcon", before: "", after: "Log only" },
    { what: "Redacted", before: "", after: "[X]" },
  ]);
});
