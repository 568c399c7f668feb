import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Browser } from "playwright-core";
import { startBrowser, Visit } from "./support/browser";
import { Server } from "./support/server";

describe("the overview", () => {
  let server: Server;
  let browser: Browser;

  beforeAll(async () => {
    server = await Server.start();
    browser = await startBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
  });

  const decide = (request: unknown) => server.call("POST", "/v1/decide", request);

  test("an empty server shows what to do first, and then the first decision", async () => {
    const visit = await Visit.open(browser, server);
    const { page } = visit;
    await page.getByRole("heading", { name: "Nothing has been decided yet" }).waitFor();
    await page.getByText("No limit is in force.").waitFor();
    await page.getByText("No SIEM is configured.").waitFor();
    await page.getByText("No alert rule is set.").waitFor();
    await page.getByText("1 of 1 serves by fresh policies").waitFor();
    await visit.inspect("overview-empty");
    await visit.checkNarrow("overview-empty");

    await decide({ content: { text: "1 UNION SELECT password FROM users" } });
    const stopped = page.locator(".figures .panel", { hasText: "Not allowed" });
    await stopped.getByText("1 of 1").waitFor();
    await page
      .getByRole("heading", { name: "Nothing has been decided yet" })
      .waitFor({ state: "detached" });
    await visit.close();
  });

  test("it shows what is decided, and leads to the decisions and the policies", async () => {
    await traffic(server);
    const visit = await Visit.open(browser, server);
    const { page } = visit;
    await page.getByText("Decisions a second, by outcome").waitFor();
    const users = page.locator(".top-list", { hasText: "Users" });
    await users.getByRole("link", { name: "mallory" }).waitFor();
    await page.locator(".top-list").getByRole("link", { name: "SQL Injection - UNION" }).waitFor();
    await page.getByText("3 of 4 requests a day").waitFor();
    await page.locator("canvas").nth(2).waitFor();
    await visit.inspect("overview");
    await visit.checkNarrow("overview");

    await page.getByLabel("Period").selectOption("24h");
    await users.getByRole("link", { name: "blocked" }).first().waitFor();
    expect(page.url()).toContain("range=24h");
    await users.getByRole("link", { name: "blocked" }).first().click();
    await page.getByRole("heading", { level: 1, name: "Decisions" }).waitFor();
    await page.getByText("6 decisions: all that match.").waitFor();
    expect(page.url()).toContain("user_id=mallory");
    await visit.close();
  });

  test("a card that fails says so, and the others stay", async () => {
    const visit = await Visit.open(browser, server);
    const { page } = visit;
    visit.expect(/503|ERR_/);
    await page.route("**/api/admin/limits/usage", (route) =>
      route.fulfill({
        status: 503,
        json: {
          error: { code: "STORE_UNAVAILABLE", message: "the store is unavailable", details: [] },
        },
      }),
    );
    await page.reload();
    await page.getByRole("alert").getByText("the store is unavailable").waitFor();
    await page.locator(".top-list").getByRole("link", { name: "mallory" }).waitFor();
    expect(await page.getByRole("alert").count()).toBe(1);
    await visit.close();
  });

  test("an auditor of one tenant sees the same, without what all tenants share", async () => {
    const own = await Server.start({ auth: "required" });
    const key = await own.createKey("auditor", "acme");
    const visit = await Visit.open(browser, own, "", { key });
    const { page } = visit;
    await page.getByText("No SIEM is configured.").waitFor();
    await page.getByText("No alert rule is set.").waitFor();
    expect(await page.getByText("Alerts that wait").count()).toBe(0);
    expect(await page.getByText("Workers and replicas").count()).toBe(0);
    await visit.close();
    await own.stop();
  });
});

/** Makes decisions of several kinds, and uses up most of a limit. */
async function traffic(server: Server): Promise<void> {
  await server.call("PUT", "/v1/org/policy", { logging_level: "full" });
  await server.call("POST", "/api/admin/limits", {
    scope: "user",
    subject_id: "heavy",
    daily_request_limit: 4,
  });
  const model = { provider: "openai", model: "gpt-4o" };
  const decide = async (times: number, request: object) => {
    for (let count = 0; count < times; count += 1) await server.call("POST", "/v1/decide", request);
  };
  await decide(3, { subject: { user_id: "heavy" }, model, content: { text: "Hello" } });
  await decide(6, {
    subject: { user_id: "mallory", agent_id: "db-agent" },
    tool: "run_sql",
    arguments: { sql: "1 UNION SELECT password FROM users" },
  });
  await decide(8, { subject: { user_id: "alice" }, model, content: { text: "The weather?" } });
  await decide(4, {
    subject: { user_id: "carol", agent_id: "support-bot" },
    model: { provider: "anthropic", model: "claude-sonnet-4-5" },
    content: { text: "Refund the card 4111 1111 1111 1111 of bob@example.com" },
  });
}
