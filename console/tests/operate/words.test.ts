import { describe, expect, test } from "vitest";
import type { Schemas } from "../../src/api/types";
import { conditionOf, receiverOf } from "../../src/pages/operate/alerts";
import { bytes } from "../../src/pages/operate/sizes";

type Rule = Schemas["AlertRule"];

describe("words of the page Operate", () => {
  test.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1536, "1.5 KiB"],
    [20 * 1024 * 1024, "20 MiB"],
    [5000 * 1024 ** 3, "5000 GiB"],
  ])("%i bytes", (size, text) => {
    expect(bytes(size)).toBe(text);
  });

  test("a rule is a sentence; a condition that is false is one, too", () => {
    expect(conditionOf({ name: "all" })).toBe("Every decision.");
    const condition = {
      risk_level_gte: "high",
      action_contains: "db",
      pii_detected: false,
      approval_requested: true,
    };
    expect(conditionOf({ name: "some", condition })).toBe(
      "Decisions if the risk is high or higher, and the action contains “db”, " +
        "and no personal data was found, and an approval is asked for.",
    );
  });

  test("of a webhook, only the server is shown", () => {
    const rule = (slack_webhook_url: string): Rule => ({
      name: "a",
      notify: { slack_webhook_url },
    });
    expect(receiverOf(rule("https://hooks.example:8443/services/secret"))).toBe(
      "hooks.example:8443",
    );
    expect(receiverOf(rule("nonsense"))).toBe("a webhook");
    expect(receiverOf({ name: "a" })).toBe("Nobody");
  });
});
