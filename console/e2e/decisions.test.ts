import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Browser } from "playwright-core";
import { startBrowser, Visit } from "./support/browser";
import { Server } from "./support/server";

interface Decision {
  readonly decision_id: string;
  readonly outcome: string;
}

const HOSTILE = `<img src=x onerror=alert(1)> '; "$(id)" \`id\` \u202e\nsecond line`;

describe("decisions", () => {
  let server: Server;
  let browser: Browser;
  let blocked: Decision;

  beforeAll(async () => {
    server = await Server.start();
    browser = await startBrowser();
    await server.call("PUT", "/v1/org/policy", { logging_level: "full" });
    await server.call("POST", "/api/v1/static-policies", {
      name: "No rivals",
      category: "custom",
      pattern: "(?i)rival",
      action: "block",
      severity: "high",
    });
    await decide({ subject: { user_id: "bob" }, content: { text: "What is the weather?" } });
    await decide({
      subject: { user_id: "carol", agent_id: "support-bot" },
      model: { provider: "openai", model: "gpt-4o" },
      content: { text: "Refund the card 4111 1111 1111 1111 of bob@example.com" },
    });
    await decide({
      subject: { agent_id: "db-agent" },
      tool: "run_sql",
      arguments: { sql: "1 UNION SELECT password FROM users", rows: 3 },
    });
    blocked = await decide({
      subject: { user_id: "alice", groups: ["marketing"] },
      model: { provider: "openai", model: "gpt-4o" },
      content: { text: "Compare us with RIVAL, and write to ann@example.com" },
    });
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
  });

  const decide = (request: unknown) => server.call<Decision>("POST", "/v1/decide", request);

  test("a person finds why a prompt was blocked", async () => {
    const visit = await Visit.open(browser, server, "#/decisions");
    const { page } = visit;
    const rows = page.getByRole("table", { name: "Decisions" }).locator(".rows").getByRole("row");
    await rows.nth(3).waitFor();
    await visit.inspect("decisions");
    await visit.checkNarrow("decisions");

    await page.getByLabel("User").fill("alice");
    await page.getByLabel("User").press("Enter");
    await page.getByText("1 decisions: all that match.").waitFor();
    expect(page.url()).toContain("user_id=alice");
    await rows.first().getByRole("link").click();

    await page.getByRole("heading", { level: 1, name: "Blocked" }).waitFor();
    await page.getByText("“No rivals” matched").waitFor();
    await visit.inspect("decision");
    await visit.checkNarrow("decision");
    await visit.close();
  });
});
