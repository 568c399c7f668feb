import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Browser } from "playwright-core";
import { startBrowser, Visit } from "./support/browser";
import { Server } from "./support/server";

/** A SIEM that accepts everything, unless `refuses` is set. */
class Collector {
  refuses = false;
  accepted = 0;

  private constructor(private readonly server: HttpServer) {}

  static async start(): Promise<Collector> {
    const server = createServer((request, response) => {
      request.resume();
      request.on("end", () => {
        if (collector.refuses) response.statusCode = 400;
        else collector.accepted += 1;
        response.end(collector.refuses ? '{"code":6}' : '{"text":"Success","code":0}');
      });
    });
    const collector = new Collector(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return collector;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.server.close();
  }
}

describe("operating", () => {
  let collector: Collector;
  let server: Server;
  let browser: Browser;
  let admin: string;
  let auditor: string;

  beforeAll(async () => {
    collector = await Collector.start();
    server = await Server.start({
      auth: "required",
      env: {
        SPLUNK_HEC_URL: collector.url,
        SPLUNK_HEC_TOKEN: "splunk-secret-token",
        PDP_SIEM_FLUSH_S: "0.1",
      },
    });
    browser = await startBrowser();
    admin = await server.createKey("admin");
    auditor = await server.createKey("auditor", "acme");
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    collector?.close();
  });

  test("a key is created, shown once, rotated and revoked", async () => {
    const visit = await Visit.open(browser, server, "#/operate", { key: admin });
    const { page } = visit;
    await page.getByRole("table", { name: "API keys" }).waitFor();
    await page.getByRole("button", { name: "New key" }).click();
    const dialog = page.getByRole("dialog", { name: "New API key" });

    // The server's own words are beside the field.
    visit.expect(/400/);
    await dialog.getByLabel("Name").fill("gateway <b>");
    await dialog.getByLabel("Expires at").fill("tomorrow");
    await dialog.getByRole("button", { name: "Create the key" }).click();
    await dialog.locator(".field.invalid .problem").waitFor();
    await visit.inspect("operate-new-key");
    await visit.checkNarrow("operate-new-key");
    await dialog.getByLabel("Expires at").fill("");
    await dialog.getByRole("button", { name: "Create the key" }).click();

    const shown = page.getByRole("dialog", { name: "The new key" });
    const secret = (await shown.locator(".secret").textContent()) ?? "";
    expect(secret).toMatch(/^aa_live_\w+$/);
    await visit.inspect("operate-secret");
    await shown.getByRole("button", { name: "Copy the key" }).click();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(secret);
    await shown.getByRole("button", { name: "I have stored it" }).click();
    expect(await page.content()).not.toContain(secret);
    const decided = () => server.call("POST", "/v1/decide", { content: { text: "hi" } }, secret);
    await decided();

    await page.getByRole("link", { name: "gateway <b>" }).click();
    await page.getByRole("heading", { name: "gateway <b>" }).waitFor();
    await page.getByRole("button", { name: "Rotate…" }).click();
    await page.getByLabel("How long the old secret stays valid").selectOption("0");
    await page.getByRole("button", { name: "Rotate", exact: true }).click();
    const rotated = page.getByRole("dialog", { name: "The new secret" });
    expect(await rotated.locator(".secret").textContent()).not.toBe(secret);
    await rotated.getByRole("button", { name: "I have stored it" }).click();
    await expect(decided()).rejects.toThrow("401");
    await visit.inspect("operate-key");
    await visit.checkNarrow("operate-key");

    await page.getByRole("button", { name: "Revoke…" }).click();
    await page.getByRole("dialog").getByText("cannot be undone").waitFor();
    await page.getByRole("button", { name: "Revoke the key" }).click();
    await page.getByText("Revoked: gateway <b>").waitFor();
    await page.getByRole("table", { name: "API keys" }).waitFor();
    expect(await page.getByRole("link", { name: "gateway <b>" }).count()).toBe(0);
    await visit.inspect("operate-keys");
    await visit.checkNarrow("operate-keys");
    await visit.close();
  });

  test("a user who rotates the own key gets the new secret before the old one ends the session", async () => {
    const own = await server.createKey("admin");
    const { name } = await server.call<{ name: string }>("GET", "/v1/whoami", undefined, own);
    const address = `#/operate/keys/${name.replace("key:", "")}`;
    const visit = await Visit.open(browser, server, address, { key: own });
    const { page } = visit;
    await page.getByRole("button", { name: "Rotate…" }).click();
    await page.getByLabel("How long the old secret stays valid").selectOption("0");
    await page.getByRole("button", { name: "Rotate", exact: true }).click();
    const rotated = page.getByRole("dialog", { name: "The new secret" });
    await rotated.getByText("sign in with the new secret").waitFor();
    const secret = (await rotated.locator(".secret").textContent()) ?? "";
    await rotated.getByRole("button", { name: "I have stored it" }).click();
    await page.getByRole("alert").getByText("UNAUTHENTICATED").waitFor();
    await visit.signIn(secret);
    await page.getByRole("navigation", { name: "Parts of Operate" }).waitFor();
    await visit.close();
  });

  test("a SIEM is tested, and its token is nowhere", async () => {
    const visit = await Visit.open(browser, server, "#/operate/siem", { key: admin });
    const { page } = visit;
    const splunk = page.getByRole("region", { name: "Splunk HEC" });
    await splunk.getByRole("button", { name: "Send a test event" }).click();
    await splunk.getByText("The test was accepted.").waitFor();
    const elastic = page.getByRole("region", { name: "Elasticsearch" });
    await elastic.getByRole("button", { name: "What is missing?" }).click();
    await elastic.getByText("not configured: set").waitFor();
    expect(await page.content()).not.toContain("splunk-secret-token");
    await visit.inspect("operate-siem");
    await visit.checkNarrow("operate-siem");
    await visit.close();
  });

  test("what a SIEM refuses becomes a dead letter, is sent again, or is discarded", async () => {
    const visit = await Visit.open(browser, server, "#/operate/dead-letters", { key: admin });
    const { page } = visit;
    await page.getByText("There are no dead letters.").waitFor();
    const record = () =>
      server.call("POST", "/v1/decide", { content: { text: "ssn 123-45-6789" } }, admin);
    collector.refuses = true;
    await record();
    const letters = page.getByRole("region", { name: "splunk" });
    await letters.getByText("HTTP 400").waitFor();
    await visit.inspect("operate-dead-letters");
    await visit.checkNarrow("operate-dead-letters");
    collector.refuses = false;
    const before = collector.accepted;
    await letters.getByRole("button", { name: "Send again" }).click();
    await page.getByText("There are no dead letters.").waitFor();
    await expect.poll(() => collector.accepted, { timeout: 60_000 }).toBeGreaterThan(before);

    collector.refuses = true;
    await record();
    await letters.waitFor();
    await page.getByRole("button", { name: "Discard all…" }).click();
    await page.getByRole("dialog").getByText("cannot be undone").waitFor();
    await page
      .getByRole("dialog")
      .getByRole("button", { name: /^Discard/ })
      .click();
    await page.getByText("There are no dead letters.").waitFor();
    collector.refuses = false;
    await visit.close();
  });

  test("the processes are listed with the revision that they decide by", async () => {
    const visit = await Visit.open(browser, server, "#/operate/processes", { key: admin });
    const { page } = visit;
    const row = page.getByRole("table", { name: "Processes" }).getByRole("row").nth(1);
    await row.getByText("Serving").waitFor();
    await visit.inspect("operate-processes");
    await visit.checkNarrow("operate-processes");
    await visit.close();
  });

  test("alert rules are shown in words; a test that fails says why", async () => {
    const visit = await Visit.open(browser, server, "#/operate/alerts", {
      key: admin,
      tenant: "acme",
    });
    const { page } = visit;
    await page.getByText("There are no alert rules.").waitFor();
    const rule = {
      name: "Leaks <b>",
      condition: { risk_level_gte: "high", pii_detected: true },
      notify: { slack_webhook_url: "https://127.0.0.1:1/services/secret-path" },
    };
    const editor = await server.createKey("editor", "acme");
    await server.call("PUT", "/v1/org/policy", { alert_rules: [rule] }, editor);
    await page.reload();
    await visit.signIn(admin, "acme");
    const card = page.getByRole("region", { name: "Leaks <b>" });
    await card.getByText("Decisions if the risk is high or higher, and personal data").waitFor();
    await card.getByRole("button", { name: "Send a test message" }).click();
    await card.locator(".test-result.removed").waitFor();
    await card.getByText("Delivers").waitFor();
    expect(await page.locator("main").textContent()).not.toContain("secret-path");
    await visit.inspect("operate-alerts");
    await visit.close();
  });

  test("the log is verified, and its head is the anchor of the next time", async () => {
    await server.call("POST", "/v1/decide", { content: { text: "ssn 123-45-6789" } }, admin);
    const visit = await Visit.open(browser, server, "#/operate/audit", { key: admin });
    const { page } = visit;
    await page.getByRole("button", { name: "Verify the log" }).click();
    const result = page.getByRole("region", { name: "Result of the verification" });
    await result.getByText("The log is intact.").waitFor();
    await result.getByRole("button", { name: "Copy the head" }).click();
    const head = await page.evaluate(() => navigator.clipboard.readText());
    await page.getByLabel("Anchor").fill(head);
    await page.getByRole("button", { name: "Verify the log" }).click();
    await result.getByText("The anchor is in it.").waitFor();
    await visit.inspect("operate-audit");
    await visit.checkNarrow("operate-audit");

    await page.getByLabel("Anchor").fill(`1:${"a".repeat(64)}`);
    await page.getByRole("button", { name: "Verify the log" }).click();
    await result.getByText("is not in the chain").waitFor();
    visit.expect(/400/);
    await page.getByLabel("Anchor").fill("nonsense");
    await page.getByRole("button", { name: "Verify the log" }).click();
    await page.getByRole("alert").getByText("anchor").first().waitFor();
    await visit.close();
  });

  test("a model is added, changed past a conflict, and deleted", async () => {
    const visit = await Visit.open(browser, server, "#/operate/models", { key: admin });
    const { page } = visit;
    await page.getByRole("table", { name: "Models" }).waitFor();
    await visit.inspect("operate-models");
    await visit.checkNarrow("operate-models");
    await page.getByRole("button", { name: "New model" }).click();
    const dialog = page.getByRole("dialog", { name: "New model" });
    await dialog.getByLabel("Provider").fill("openai");
    await dialog.getByLabel("Model ID").fill("gpt-9");
    await dialog.getByRole("button", { name: "Add the model" }).click();
    await page.getByRole("heading", { name: "openai/gpt-9" }).waitFor();

    const id = page.url().split("/").pop() ?? "";
    const path = `/api/admin/models/${id}`;
    await server.call("PUT", path, { display_name: "Theirs" }, admin);
    const form = page.getByRole("form", { name: "Change this model" });
    await form.getByLabel("Tier").selectOption("opus");
    visit.expect(/412/);
    await form.getByRole("button", { name: "Save" }).click();
    const conflict = page.getByRole("dialog", { name: "Another user has changed it" });
    await conflict.getByText("Theirs").first().waitFor();
    await visit.inspect("operate-model-conflict");
    await conflict.getByRole("button", { name: "Write mine over it" }).click();
    await page.getByText("Saved, in force from revision").waitFor();
    const model = await server.call<{ tier: string; display_name: string }>(
      "GET",
      path,
      undefined,
      admin,
    );
    expect(model).toMatchObject({ tier: "opus", display_name: "Theirs" });
    await visit.inspect("operate-model");
    await page.getByRole("button", { name: "Delete…" }).click();
    await page.getByRole("button", { name: "Delete the model" }).click();
    await page.getByText("Deleted: openai/gpt-9").waitFor();
    await page.getByLabel("Filter").fill("gpt-9");
    await page.getByText("No model matches").waitFor();
    await visit.close();
  });

  test("commands of backups are copied; an auditor is offered only what the role includes", async () => {
    const visit = await Visit.open(browser, server, "#/operate/backup", { key: auditor });
    const { page } = visit;
    const tabs = page.getByRole("navigation", { name: "Parts of Operate" });
    await tabs.getByRole("link", { name: "SIEM" }).waitFor();
    expect(await tabs.getByRole("link", { name: "API keys" }).count()).toBe(0);
    const sqlite = page.getByRole("region", { name: "SQLite" });
    await sqlite.getByRole("button", { name: "Copy" }).first().click();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toContain("pdp backup ");
    await visit.inspect("operate-backup");
    await visit.checkNarrow("operate-backup");
    await visit.close();
  });
});
