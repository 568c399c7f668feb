import { describe, expect, test } from "vitest";
import { type Approval, countdown, requesterOf, subjectOf } from "../../src/pages/approvals/states";

const NOW = Date.parse("2026-01-01T00:00:00Z");

describe("approvals", () => {
  test.each([
    [0, "over"],
    [-5, "over"],
    [1, "1 s"],
    [59, "59 s"],
    [60, "1 min 00 s"],
    [249, "4 min 09 s"],
    [3_600, "1 h 00 min"],
    [7_500, "2 h 05 min"],
    [90_000, "1 d 01 h"],
  ])("%i seconds before the end", (seconds, text) => {
    expect(countdown(new Date(NOW + seconds * 1000).toISOString(), NOW)).toBe(text);
  });

  test("an end that is not known is a dash", () => {
    expect(countdown(null, NOW)).toBe("–");
    expect(countdown("soon", NOW)).toBe("–");
  });

  test("who asks, and for what", () => {
    const of = (record: object | null) => ({ asked_by: "key:1", record }) as unknown as Approval;
    expect(requesterOf(of(null))).toBe("key:1");
    expect(requesterOf(of({ subject: { user_id: "ann", agent_id: "bot" } }))).toBe(
      "ann, agent bot",
    );
    expect(requesterOf(of({ subject: { user_id: "", agent_id: "bot" } }))).toBe("agent bot");
    expect(subjectOf(of({ tool: "sql", action: "db:prod:delete", redacted_text: null }))).toBe(
      "sql · db:prod:delete",
    );
    expect(subjectOf(of({ tool: "", action: "", redacted_text: "two\n lines" }))).toBe("two lines");
    expect(subjectOf(of(null))).toBe("");
  });
});
