import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Browser, Page } from "playwright-core";
import type { AnswerOf } from "../src/api/types";
import { startBrowser, Visit } from "./support/browser";
import { Server } from "./support/server";

const TENANT = "acme";
const POLICY = { name: "Project codes", category: "custom", pattern: "heron", action: "block" };

type Decision = AnswerOf<"Decide">;

let browser: Browser;

beforeAll(async () => {
  browser = await startBrowser();
});
afterAll(async () => {
  await browser?.close();
});

/** A server with one policy, and keys of the tenant for two admins and an auditor. */
async function startServer() {
  const server = await Server.start({ auth: "required" });
  const [admin, other, auditor] = await Promise.all([
    server.createKey("admin", TENANT),
    server.createKey("admin", TENANT),
    server.createKey("auditor", TENANT),
  ]);
  await server.call("PUT", "/v1/org/policy", { logging_level: "full" }, admin);
  await server.call("POST", "/api/v1/static-policies", POLICY, admin);
  const decide = (user: string, groups: string[], text: string) =>
    server.call<Decision>(
      "POST",
      "/v1/decide",
      { subject: { user_id: user, groups }, content: { text } },
      admin,
    );
  return { server, admin, other, auditor, decide };
}

/** Records that the log has, as an auditor reads them. */
async function recorded(server: Server, key: string): Promise<number> {
  const answer = await server.call<AnswerOf<"ListRecords">>(
    "GET",
    "/api/admin/audit/records?limit=100",
    undefined,
    key,
  );
  return answer.records.length;
}

async function startDraft(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Start a draft" }).click();
  await page.getByRole("table", { name: "Sections" }).waitFor();
}

async function openTab(page: Page, name: string | RegExp): Promise<void> {
  await page
    .getByRole("navigation", { name: "Parts of the draft" })
    .getByRole("link", { name })
    .click();
}

/** Sets the action of the policy in the draft. */
async function changeAction(page: Page, action: string): Promise<void> {
  await openTab(page, "Policies");
  await page.getByRole("link", { name: "Static policies" }).click();
  await page.getByRole("link", { name: POLICY.name }).click();
  await page.getByLabel("Action", { exact: false }).first().selectOption(action);
  await page.getByRole("button", { name: "Save in the draft" }).click();
  await page.getByRole("table", { name: "Static policies" }).getByText("changed").waitFor();
}

describe("a draft", () => {
  let ours: Awaited<ReturnType<typeof startServer>>;

  beforeAll(async () => {
    ours = await startServer();
  });
  afterAll(async () => ours?.server.stop());

  test("collects changes, shows what they would have changed, is applied, and is rolled back", async () => {
    const { server, admin, decide } = ours;
    expect((await decide("ann", ["legal"], "about heron")).outcome).toBe("BLOCK");
    expect((await decide("bob", ["sales"], "about heron")).outcome).toBe("BLOCK");
    expect((await decide("bob", ["sales"], "about nothing")).outcome).toBe("ALLOW");
    await expect.poll(() => recorded(server, admin)).toBe(3);

    const visit = await Visit.open(browser, server, "#/draft", { key: admin });
    const { page } = visit;
    await page.getByRole("heading", { name: "From the policies in force" }).waitFor();
    await visit.inspect("draft-start");
    await visit.checkNarrow("draft-start");
    await startDraft(page);
    await visit.inspect("draft-sections");

    // An exception for one group. The server refuses it at first, beside the field.
    await page.getByRole("link", { name: "Exceptions" }).click();
    await page.getByRole("link", { name: "Add" }).click();
    await page.getByLabel("Name required").fill("Legal may");
    await page.getByLabel("Reason required").fill("They write the contracts");
    await page.getByLabel("Ticket required").fill("LEGAL-1");
    await page.getByLabel("Policies").fill("No such policy");
    await page.getByLabel("Groups").fill("legal");
    await page.getByLabel("Valid until").fill("2999-01-01T00:00:00Z");
    visit.expect(/400/);
    await page.getByRole("button", { name: "Save in the draft" }).click();
    await page
      .locator(".problem")
      .getByText('there is no static policy "No such policy"')
      .waitFor();
    await visit.inspect("draft-entry");
    await visit.checkNarrow("draft-entry");
    await page.getByRole("button", { name: "Remove No such policy" }).click();
    await page.getByLabel("Policies").fill(POLICY.name);
    await page.getByRole("button", { name: "Save in the draft" }).click();
    await page.getByRole("table", { name: "Exceptions" }).getByText("added").waitFor();

    await changeAction(page, "warn");
    await visit.inspect("draft-section");
    await visit.checkNarrow("draft-section");
    await openTab(page, "Changes (2)");
    await page.getByRole("article", { name: "Project codes, changed" }).waitFor();
    await visit.inspect("draft-changes");
    await visit.checkNarrow("draft-changes");

    await openTab(page, "Check");
    await page.getByText("The server accepts the draft: 2 changes").waitFor();
    await visit.inspect("draft-check");

    await openTab(page, "What would change");
    await page.getByLabel("Decisions of").selectOption("hour");
    await page.getByRole("button", { name: "Replay" }).click();
    await page.getByRole("heading", { name: "2 of 3 decisions would change" }).waitFor();
    await page.getByRole("article", { name: "From BLOCK to ALLOW" }).getByText("ann").waitFor();
    const warned = page.getByRole("article", { name: "From BLOCK to WARN" });
    await warned.getByText("block becomes warn").waitFor();
    const example = await warned.getByRole("listitem").getByRole("link").getAttribute("href");
    expect(example).toMatch(/^#\/decisions\/.+/);
    await page.getByText("All 3 decisions of the period were recorded").waitFor();
    await visit.inspect("draft-effect");
    await visit.checkNarrow("draft-effect");

    await openTab(page, "Apply");
    await page.getByRole("button", { name: "Apply all changes" }).isDisabled();
    await page.getByLabel("Summary").fill("Legal may name projects");
    await visit.inspect("draft-apply");
    await visit.checkNarrow("draft-apply");
    await page.getByRole("button", { name: "Apply all changes" }).click();
    const applied = page.getByRole("article", { name: "Legal may name projects" });
    await applied.waitFor();
    expect((await decide("ann", ["legal"], "about heron")).outcome).toBe("ALLOW");
    expect((await decide("bob", ["sales"], "about heron")).outcome).toBe("WARN");

    // What was applied is kept when the page is loaded again.
    await page.reload();
    await visit.signIn(admin);
    await visit.inspect("draft-applied");
    await applied.getByRole("button", { name: /^Roll back/ }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("Legal may", { exact: true }).waitFor();
    await visit.inspect("draft-rollback");
    await visit.checkNarrow("draft-rollback");
    await dialog.getByRole("button", { name: "Roll back" }).click();
    await applied.getByText(/rolled back in revision/).waitFor();
    expect((await decide("ann", ["legal"], "about heron")).outcome).toBe("BLOCK");
    expect((await decide("bob", ["sales"], "about heron")).outcome).toBe("BLOCK");
    await visit.close();
  });
});
