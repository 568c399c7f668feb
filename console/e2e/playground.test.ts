import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Browser } from "playwright-core";
import { startBrowser, Visit } from "./support/browser";
import { Server } from "./support/server";

const CARD = "4111 1111 1111 1111";

describe("the playground", () => {
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

  test("a prompt: the outcome, what was found in place, what may go on, and why", async () => {
    const visit = await Visit.open(browser, server, "#/playground");
    const { page } = visit;
    await page.getByLabel("Prompt", { exact: true }).last().fill(`Hi 😀 refund ${CARD} <b>now</b>`);
    await page.getByLabel("User").fill("ann");
    await page.keyboard.press("Control+Enter");
    const result = page.getByRole("region", { name: "Decision" });
    await result.getByText("Redacted by DLP rule").first().waitFor();
    await result.locator(".verdict-outcome").getByText("REDACT", { exact: true }).waitFor();
    expect(await result.locator("pre.highlighted mark").first().textContent()).toBe(CARD);
    await result.getByText("[REDACTED]").first().waitFor();
    await result.getByText("Redact 1 place").waitFor();
    expect(await result.locator(".trace > li").count()).toBe(7);
    await visit.inspect("playground");
    await visit.checkNarrow("playground");

    // Nothing was recorded.
    const { records } = await server.call<{ records: unknown[] }>(
      "GET",
      "/api/admin/audit/records",
    );
    expect(records).toEqual([]);

    // The inputs are still there after a look at another page, and nowhere else.
    await visit.go("#/kill-switch");
    await visit.go("#/playground");
    expect(await page.getByLabel("User").inputValue()).toBe("ann");
    const stored = await page.evaluate(() =>
      JSON.stringify([{ ...sessionStorage }, { ...localStorage }]),
    );
    expect(stored).not.toContain("4111");
    await visit.close();
  });

  test("a provider's document: findings are marked in its source", async () => {
    const visit = await Visit.open(browser, server, "#/playground");
    const { page } = visit;
    await page.getByLabel("Provider's JSON").check();
    const call = JSON.stringify({ card: CARD });
    const body = JSON.stringify({
      model: "gpt-4.1",
      messages: [
        { role: "user", content: `Refund ${CARD}` },
        {
          role: "assistant",
          tool_calls: [{ id: "a", type: "function", function: { name: "pay", arguments: call } }],
        },
      ],
    });
    await page.getByRole("textbox", { name: "Document" }).fill(body);
    await page.keyboard.press("Control+Enter");
    const result = page.getByRole("region", { name: "Decision" });
    await result.getByText("Format openai.chat_completions").waitFor();
    await result.locator(".editor .mark").first().waitFor();
    const marks = await result.locator(".editor .mark").allTextContents();
    expect(marks.join(" ").split(CARD).length - 1).toBeGreaterThanOrEqual(2);
    await visit.inspect("playground-payload");
    await visit.checkNarrow("playground-payload");

    // The editor does not hear of what is selected before it is replaced, as on a busy machine.
    await page.evaluate(() => {
      const stop = (event: Event) => {
        event.stopImmediatePropagation();
      };
      document.addEventListener("selectionchange", stop, true);
    });
    const editor = page.getByRole("textbox", { name: "Document" });
    for (const text of ["{broken", "{also broken"]) {
      await editor.fill(text);
      expect(await editor.innerText()).toBe(text);
    }
    visit.expect(/400/);
    await page.keyboard.press("Control+Enter");
    await result.getByRole("alert").getByText("INVALID_ARGUMENT").waitFor();
    await visit.close();
  });

  test("a call of a tool, from an address that is then forgotten", async () => {
    const visit = await Visit.open(
      browser,
      server,
      `#/playground?tool=create_issue&server=github&arguments=${encodeURIComponent(
        `{"body": "ssn 123-45-6789"}`,
      )}&agent=bot`,
    );
    const { page } = visit;
    expect(await page.getByLabel("Tool", { exact: true }).inputValue()).toBe("create_issue");
    expect(page.url()).not.toContain("ssn");
    await page.getByRole("button", { name: "Decide" }).click();
    const result = page.getByRole("region", { name: "Decision" });
    await result.getByText("US Social Security Number").first().waitFor();
    await result.locator(".editor .mark").first().waitFor();
    expect((await result.locator(".editor .mark").allTextContents()).join("")).toContain(
      "123-45-6789",
    );
    await visit.inspect("playground-tool");

    // What cannot be sent is said beside its field.
    await page.getByRole("textbox", { name: "Arguments" }).fill("[1]");
    await page.getByRole("button", { name: "Decide" }).click();
    await page.getByText("Write a JSON object").waitFor();
    await visit.close();
  });

  test("the draft is tried beside the policies in force, and what differs is said", async () => {
    const visit = await Visit.open(browser, server, "#/playground");
    const { page } = visit;
    expect(await page.getByLabel("Also with the draft").count()).toBe(0);
    const policy = {
      name: "Project Falcon",
      category: "custom",
      pattern: "falcon",
      severity: "high",
      action: "block",
    };
    await visit.go("#/draft/file");
    await page
      .getByRole("textbox", { name: "Policy file" })
      .fill(JSON.stringify({ static_policies: [policy] }));
    await page.getByRole("button", { name: "Start a draft" }).click();
    await page.getByRole("link", { name: "Try a prompt" }).click();
    await page.getByLabel("Prompt", { exact: true }).last().fill("What is falcon?");
    expect(await page.getByLabel("Also with the draft").isChecked()).toBe(true);
    await page.getByRole("button", { name: "Decide" }).click();
    const before = page.getByRole("region", { name: "Now" });
    const after = page.getByRole("region", { name: "With the draft" });
    await before.locator(".verdict-outcome").getByText("ALLOW").waitFor();
    await after.locator(".verdict-outcome").getByText("BLOCK").waitFor();
    const changes = page.getByRole("region", { name: "What the draft changes" });
    await changes.getByRole("row").filter({ hasText: "Outcome" }).getByText("BLOCK").waitFor();
    await visit.inspect("playground-draft");
    await visit.checkNarrow("playground-draft");
    await visit.close();
  });

  test("a server that is down is said, and the inputs stay", async () => {
    const own = await Server.start();
    const visit = await Visit.open(browser, own, "#/playground");
    const { page } = visit;
    await page.getByLabel("Prompt", { exact: true }).last().fill("Hello");
    await page.getByRole("button", { name: "Decide" }).click();
    await page.getByText("No policy stops or changes this request.").waitFor();
    await own.kill();
    visit.expect(/ERR_/);
    await page.getByRole("button", { name: "Decide" }).click();
    await page.getByRole("alert").getByText("cannot be reached").waitFor();
    expect(await page.getByLabel("Prompt", { exact: true }).last().inputValue()).toBe("Hello");
    await visit.close();
    await own.stop();
  });
});
