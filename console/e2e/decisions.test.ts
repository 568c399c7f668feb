import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Browser, Page } from "playwright-core";
import { startBrowser, Visit } from "./support/browser";
import { Server } from "./support/server";

interface Decision {
  readonly decision_id: string;
  readonly outcome: string;
}

const run = promisify(execFile);
const PDP =
  process.env["PDP_TEST_PROGRAM"] ?? fileURLToPath(new URL("../../.venv/bin/pdp", import.meta.url));
const HOSTILE = `<img src=x onerror=alert(1)> RIVAL '; "$(id)" \`id\` \u202e\nsecond 'line'`;

describe("decisions", () => {
  let server: Server;
  let browser: Browser;
  let hostile: Decision;

  beforeAll(async () => {
    server = await Server.start();
    browser = await startBrowser();
    await prepare(server);
    hostile = await decide({
      subject: { user_id: `<b onmouseover="alert(2)">mallory`, agent_id: "{{7*7}}" },
      tool: "<script>alert(3)</script>",
      arguments: { [HOSTILE]: HOSTILE, card: "4111 1111 1111 1111" },
      content: { text: HOSTILE },
    });
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
  });

  const decide = (request: unknown) => server.call<Decision>("POST", "/v1/decide", request);
  const rowsOf = (page: Page) =>
    page.getByRole("table", { name: "Decisions" }).locator(".rows").getByRole("row");

  test("a person finds why a prompt was blocked", async () => {
    const visit = await Visit.open(browser, server, "#/decisions");
    const { page } = visit;
    await rowsOf(page).nth(4).waitFor();
    await visit.inspect("decisions");
    await visit.checkNarrow("decisions");

    await page.getByText("More filters").click();
    await page.getByText("Outcome", { exact: true }).first().click();
    await visit.inspect("decisions-filters");
    await visit.checkNarrow("decisions-filters");
    await page.getByLabel("Block", { exact: true }).check();
    await page.getByLabel("User").fill("alice");
    await page.getByLabel("User").press("Enter");
    await page.getByText("1 decision: all that match.").waitFor();
    expect(page.url()).toContain("outcome=BLOCK");
    expect(page.url()).toContain("user_id=alice");
    await rowsOf(page).first().getByRole("link").click();

    await page
      .getByRole("heading", { name: "Blocked by the static policy “No rivals”", level: 1 })
      .waitFor();
    await page.getByText("Pattern found in the text, 16 to 21.").first().waitFor();
    await page.locator("mark.redacted", { hasText: "EMAIL" }).waitFor();
    await page.getByText("No policy of the tenant has changed since.").waitFor();
    const link = page.getByRole("link", { name: "No rivals" }).first();
    expect(await link.getAttribute("href")).toMatch(/^#\/policies\/static\/pol_[0-9a-f]+$/);
    await visit.inspect("decision");
    await visit.checkNarrow("decision");
    await page.getByRole("link", { name: "All decisions" }).click();
    await page.getByText("1 decision: all that match.").waitFor();
    await visit.close();
  });

  test("a decision leads to those beside it, by links and by arrow keys", async () => {
    const visit = await Visit.open(browser, server, "#/decisions");
    const { page } = visit;
    await rowsOf(page).nth(1).getByRole("link").click();
    await page.getByRole("heading", { level: 1, name: "Blocked by the static policy" }).waitFor();
    const first = page.url();
    await page.keyboard.press("ArrowRight");
    await page.getByText("SQL Injection - UNION").first().waitFor();
    await page.keyboard.press("ArrowLeft");
    await page.waitForURL(first);
    await visit.close();
  });

  test("new decisions appear on top, wait while the list is in use, and survive a lost server", async () => {
    const own = await Server.start();
    await own.call("PUT", "/v1/org/policy", { logging_level: "full" });
    const ask = (user: string) =>
      own.call<Decision>("POST", "/v1/decide", { subject: { user_id: user } });
    const visit = await Visit.open(browser, own, "#/decisions");
    const { page } = visit;
    await page.getByText("No decision is recorded yet").waitFor();
    await visit.inspect("decisions-empty");
    // The stream reaches the server after the first decision, which is after the empty page.
    await page.route("**/audit/tail*", async (route) => {
      await ask("first");
      await route.continue();
    });
    await page.getByRole("button", { name: "Go live" }).click();
    await page.getByText("Live: new decisions").waitFor();
    await rowsOf(page).first().getByText("first").waitFor();
    await page.unrouteAll();
    await rowsOf(page).first().hover();
    await ask("second");
    await page.getByText("1 new, held while").waitFor();
    await page.getByRole("heading", { level: 1 }).hover();
    await rowsOf(page).first().getByText("second").waitFor();

    visit.expect(/ERR_|Failed to fetch|network/);
    await own.kill();
    await page.getByText("Connecting again").waitFor();
    await page.getByRole("button", { name: "Refresh" }).click();
    await page.getByRole("alert").getByText("UNREACHABLE").waitFor();
    expect(await rowsOf(page).count()).toBe(2);
    await visit.close();
    await own.stop();
  });

  test("copies ask the same again, and hostile text stays text", async () => {
    const visit = await Visit.open(browser, server, `#/decisions/${hostile.decision_id}`);
    const { page } = visit;
    const copied = async (name: string) => {
      await page.getByRole("button", { name }).click();
      await page.getByText(name.replace("Copy", "Copied")).first().waitFor();
      return page.evaluate(() => navigator.clipboard.readText());
    };
    const env = { PATH: process.env["PATH"], PDP_DATA_DIR: server.directory };
    await page.getByRole("heading", { level: 1, name: "Blocked" }).waitFor();
    await visit.inspect("decision-hostile");
    await visit.checkNarrow("decision-hostile");

    const curl = await copied("Copy as curl");
    const answer = await run("/bin/sh", ["-c", curl], { env });
    expect((JSON.parse(answer.stdout) as Decision).outcome).toBe("BLOCK");

    const command = (await copied("Copy as pdp decide")).replace("pdp decide", `${PDP} decide`);
    const decided = await run("/bin/sh", ["-c", `${command} --embedded`], { env }).catch(
      (failure: unknown) => failure as { code: number; stdout: string },
    );
    expect("code" in decided && decided.code).toBe(1);
    expect(decided.stdout).toContain("No rivals");

    const suite = join(server.directory, "case.yaml");
    await writeFile(suite, await copied("Copy as test case"));
    const { policies } = await server.call<{ policies: object }>("GET", "/v1/policy-file");
    await writeFile(join(server.directory, "policies.yaml"), JSON.stringify({ policies }));
    const tested = await run(PDP, ["test", suite], { env });
    expect(tested.stdout).toContain("1 passed");

    await page.evaluate(() => Object.defineProperty(navigator, "clipboard", { value: undefined }));
    await page.getByRole("button", { name: "Copy as curl" }).click();
    expect(await page.getByLabel("Text to copy").inputValue()).toBe(curl);
    await page.getByRole("button", { name: "Close" }).click();
    await visit.close();
  });

  test("a decision without a record says so, and leads on", async () => {
    const visit = await Visit.open(browser, server, "#/decisions/none-such");
    visit.expect(/404/);
    await visit.page.getByText("There is no record of this decision").waitFor();
    await visit.close();
  });

  test("the list that is filtered is exported", async () => {
    const visit = await Visit.open(browser, server, "#/decisions?user_id=alice");
    const { page } = visit;
    await page.getByText("1 decision: all that match.").waitFor();
    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: "Export NDJSON" }).click();
    const path = await (await download).path();
    const lines = (await readFile(path, "utf8")).trim().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as Decision).outcome)).toEqual(["BLOCK"]);
    await visit.close();
  });

  test("today's policies decide again, and the change is explained", async () => {
    const policy = await server.call<{ policy: { id: string } }>(
      "POST",
      "/api/v1/static-policies",
      {
        name: "No weather",
        category: "custom",
        pattern: "(?i)weather",
        action: "block",
        severity: "low",
      },
    );
    const visit = await Visit.open(browser, server, "#/decisions?user_id=bob");
    const { page } = visit;
    await rowsOf(page).first().getByRole("link").click();
    await page.getByRole("button", { name: "Replay with today's policies" }).click();
    await page.getByText("With today's policies, the outcome changes:").waitFor();
    await page.getByText("matches now, with the action block").waitFor();
    await page.getByText("1 change since").waitFor();
    await visit.inspect("decision-replayed");
    await visit.close();
    await server.call("DELETE", `/api/v1/static-policies/${policy.policy.id}`);
  });

  test("a decision says which exception lets it pass", async () => {
    await server.call("POST", "/v1/exceptions", {
      name: "The lab compares rivals",
      policies: ["sys_sqli_union"],
      users: ["lab"],
      reason: "They test the filter",
      ticket: "T-1",
      valid_until: new Date(Date.now() + 3_600_000).toISOString(),
    });
    const { decision_id } = await decide({
      subject: { user_id: "lab" },
      content: { text: "1 UNION SELECT password FROM users" },
    });
    const visit = await Visit.open(browser, server, `#/decisions/${decision_id}`);
    await visit.page.getByText("An exception lets it pass.").waitFor();
    const link = visit.page.getByText("Lifted by the exception").getByRole("link");
    expect(await link.getAttribute("href")).toMatch(/^#\/policies\/exceptions\/./);
    await visit.close();
  });

  test("a draft decides again, before it is in force", async () => {
    const visit = await Visit.open(browser, server, "#/draft/file");
    const { page } = visit;
    await page.getByLabel("Policy file").fill('{"static_policies": []}');
    await page.getByRole("button", { name: "Start a draft" }).click();
    await page.getByRole("button", { name: "Start a draft" }).waitFor({ state: "detached" });
    await page.goto(`${server.url}/console/#/decisions?user_id=alice`);
    await rowsOf(page).first().getByRole("link").click();
    await page.getByRole("button", { name: "Replay with the draft" }).click();
    await page.getByText("With the draft, the outcome changes:").waitFor();
    await page.getByText("no longer matches").waitFor();
    await visit.close();
  });
});

/** Writes a policy, and makes decisions of each kind. */
async function prepare(server: Server): Promise<void> {
  await server.call("PUT", "/v1/org/policy", { logging_level: "full" });
  await server.call("POST", "/api/v1/static-policies", {
    name: "No rivals",
    category: "custom",
    pattern: "(?i)rival",
    action: "block",
    severity: "high",
  });
  const requests = [
    { subject: { user_id: "bob" }, content: { text: "What is the weather?" } },
    {
      subject: { user_id: "carol", agent_id: "support-bot" },
      model: { provider: "openai", model: "gpt-4o" },
      content: { text: "Refund the card 4111 1111 1111 1111 of bob@example.com" },
    },
    {
      subject: { agent_id: "db-agent" },
      tool: "run_sql",
      arguments: { sql: "1 UNION SELECT password FROM users", rows: 3 },
    },
    {
      subject: { user_id: "alice", groups: ["marketing"] },
      model: { provider: "openai", model: "gpt-4o" },
      content: { text: "Compare us with RIVAL, and write to ann@example.com" },
    },
  ];
  for (const request of requests) await server.call("POST", "/v1/decide", request);
}
