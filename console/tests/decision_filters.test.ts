import { describe, expect, test } from "vitest";
import { addressQuery, filtersOf, recordQuery, withFilter } from "../src/pages/decisions/filters";

const NOW = Date.parse("2026-02-26T10:00:00Z");

describe("filters", () => {
  test("an address keeps them all", () => {
    const query = {
      range: "1h",
      outcome: "REDACT,BLOCK",
      risk_level: "high",
      pii_detected: "false",
      user_id: "alice",
      policy_id: "p1",
    };
    expect(addressQuery(filtersOf(new URLSearchParams(query)))).toEqual(query);
  });

  test("what the API would refuse is left out of an address", () => {
    const query = new URLSearchParams({
      range: "2y",
      since: "yesterday",
      outcome: "BLOCK,NONSENSE",
      risk_level: "__proto__",
      pii_detected: "maybe",
      other: "x",
    });
    expect(filtersOf(query)).toEqual({ outcome: "BLOCK" });
  });

  test("a period ends now, and goes before a fixed time", () => {
    const query = recordQuery({ range: "1h", since: "2020-01-01T00:00:00.000Z" }, NOW);
    expect(query).toEqual({ since: "2026-02-26T09:00:00.000Z" });
  });

  test("lists and the answer yes or no have the types of the API", () => {
    expect(recordQuery({ outcome: "BLOCK,WARN", pii_detected: "false" }, NOW)).toEqual({
      outcome: ["WARN", "BLOCK"],
      pii_detected: false,
    });
  });

  test("an empty value removes a filter", () => {
    expect(withFilter({ user_id: "a", model: "b" }, "user_id", "")).toEqual({ model: "b" });
  });
});
