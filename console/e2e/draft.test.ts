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

    // A prompt of one's own, with and without the draft.
    await page.getByRole("link", { name: "Try a prompt" }).click();
    await expect.poll(() => page.getByLabel("Also with the draft").isChecked()).toBe(true);
    await page.goBack();

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
    expect(await page.getByRole("button", { name: "Apply all changes" }).isDisabled()).toBe(true);
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

describe("two people at the same time", () => {
  let ours: Awaited<ReturnType<typeof startServer>>;

  beforeAll(async () => {
    ours = await startServer();
  });
  afterAll(async () => ours?.server.stop());

  test("the second one sees what the first has changed, and carries the draft over", async () => {
    const { server, admin, other, decide } = ours;
    const visit = await Visit.open(browser, server, "#/draft", { key: admin });
    const { page } = visit;
    await startDraft(page);
    await changeAction(page, "warn");
    await openTab(page, "Apply");
    await page.getByText("The server accepts the draft: 1 change").waitFor();
    await page.getByLabel("Summary").fill("Warn only");

    // Meanwhile another admin changes the same policy, and adds one.
    const list = await server.call<AnswerOf<"ListStaticPolicies">>(
      "GET",
      "/api/v1/static-policies?category=custom",
      undefined,
      other,
    );
    const policy = list.policies.find(({ name }) => name === POLICY.name);
    const path = `/api/v1/static-policies/${policy?.id ?? ""}`;
    await server.call("PUT", path, { message: "Ask the legal team" }, other);
    const theirs = { name: "Theirs", category: "custom", pattern: "osprey", action: "block" };
    await server.call("POST", "/api/v1/static-policies", theirs, other);

    visit.expect(/412/);
    await page.getByRole("button", { name: "Apply all changes" }).click();
    await page.getByText("Others have changed policies since revision").waitFor();
    await page.getByRole("article", { name: "Theirs, added" }).waitFor();
    const choice = page.getByRole("group", { name: POLICY.name });
    await choice.getByText("Ask the legal team").waitFor();
    const carry = page.getByRole("button", { name: /^Carry my changes over/ });
    expect(await carry.isDisabled()).toBe(true);
    await visit.inspect("draft-conflict");
    await choice.scrollIntoViewIfNeeded();
    await visit.inspect("draft-conflict-choice");
    await visit.checkNarrow("draft-conflict");
    expect((await decide("bob", [], "about heron")).outcome).toBe("BLOCK");

    await choice.getByLabel("Both").check();
    await carry.click();
    await page.getByText("The server accepts the draft: 1 change").waitFor();
    await page.getByRole("button", { name: "Apply all changes" }).click();
    await page.getByRole("article", { name: "Warn only" }).waitFor();
    const decision = await decide("bob", [], "about heron");
    expect(decision.outcome).toBe("WARN");
    expect(decision.message).toBe("Ask the legal team");
    expect((await decide("bob", [], "about osprey")).outcome).toBe("BLOCK");

    // A rollback after another change of others undoes that too, and says so first.
    await server.call("POST", "/api/v1/static-policies", { ...theirs, name: "Later" }, other);
    await page.getByRole("button", { name: /^Roll back to revision/ }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("Rolling back undoes their changes too").waitFor();
    await dialog.getByText("Later").waitFor();
    await dialog.getByRole("button", { name: "Roll back" }).click();
    await page.getByText(/rolled back in revision/).waitFor();
    expect((await decide("bob", [], "about heron")).outcome).toBe("BLOCK");
    await visit.close();
  });
});

describe("ways into a draft, and what stops it", () => {
  let ours: Awaited<ReturnType<typeof startServer>>;

  beforeAll(async () => {
    ours = await startServer();
  });
  afterAll(async () => ours?.server.stop());

  test("an auditor sees what a draft would change, but cannot apply it", async () => {
    const { server, auditor, decide } = ours;
    await decide("bob", [], "about heron");
    await expect.poll(() => recorded(server, auditor)).toBeGreaterThan(0);
    const visit = await Visit.open(browser, server, "#/draft", { key: auditor });
    const { page } = visit;
    await startDraft(page);
    await changeAction(page, "log");
    await openTab(page, "What would change");
    await page.getByLabel("Decisions of").selectOption("hour");
    await page.getByRole("button", { name: "Replay" }).click();
    await page.getByRole("article", { name: "From BLOCK to ALLOW" }).waitFor();
    await openTab(page, "Apply");
    await page.getByText("Your role does not include applying a draft").waitFor();
    expect(await page.getByRole("button", { name: "Apply all changes" }).count()).toBe(0);
    await page.getByRole("button", { name: "Copy as a policy file" }).click();
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    expect(JSON.parse(copied)).toMatchObject({
      tenant: TENANT,
      policies: { static_policies: [{ name: POLICY.name, action: "log" }] },
    });
    await visit.close();
  });

  test("an editor sees why only an admin may make a change", async () => {
    const { server } = ours;
    const key = await server.createKey("editor", TENANT);
    const visit = await Visit.open(browser, server, "#/draft", { key });
    const { page } = visit;
    await startDraft(page);
    await page.getByRole("link", { name: "Tenant settings" }).click();
    await page.getByLabel("Unknown model").selectOption("block");
    visit.expect(/403/);
    await page.getByRole("button", { name: "Save in the draft" }).click();
    await page.getByRole("alert").getByText("ACCESS_DENIED").waitFor();
    await page.getByRole("button", { name: "Save it as it is" }).click();
    await openTab(page, "Apply");
    await page.getByText("Only an admin may change tenant settings").waitFor();
    await page.getByRole("alert").getByText("ACCESS_DENIED").waitFor();
    await page.getByLabel("Summary").fill("Strict");
    expect(await page.getByRole("button", { name: "Apply all changes" }).isDisabled()).toBe(true);
    await visit.close();
  });

  test("a policy file with hostile names is checked, and each fault leads to its policy", async () => {
    const { server, admin } = ours;
    const name = '<img src=x onerror=alert(1)>"&';
    const file = {
      policies: {
        static_policies: [
          { ...POLICY, name },
          { ...POLICY, name: "Broken", pattern: "(" },
        ],
      },
    };
    const visit = await Visit.open(browser, server, "#/draft/file", { key: admin });
    const { page } = visit;
    const editor = page.getByRole("textbox", { name: "Policy file" });
    await editor.fill('{"nothing": []}');
    await page.getByRole("button", { name: "Start a draft" }).click();
    await page.getByText("nothing is not a section of a policy file").waitFor();
    await visit.inspect("draft-file");
    await editor.fill(JSON.stringify(file));
    await page.getByRole("button", { name: "Start a draft" }).click();
    await page.getByRole("article", { name: `${name}, added` }).waitFor();
    await page.getByRole("article", { name: `${POLICY.name}, removed` }).waitFor();
    visit.expect(/400/);
    await openTab(page, "Check");
    await page.getByText("The server refuses the draft").waitFor();
    await visit.inspect("draft-refused");
    await page.getByRole("alert").getByRole("link", { name: "Broken" }).click();
    await page.locator(".problem").first().waitFor();
    expect(new URL(page.url()).hash).toContain("static_policies/edit?name=Broken");
    await page.getByRole("button", { name: "Remove", exact: true }).click();
    await openTab(page, "Check");
    await page.getByText("The server accepts the draft").waitFor();

    // A whole section as JSON.
    await openTab(page, "Policies");
    await page.getByRole("link", { name: "Limits" }).click();
    await page.getByRole("link", { name: "Edit as JSON" }).click();
    const json = page.getByRole("textbox", { name: "Limits as JSON" });
    await json.fill('[{"scope": "group"}]');
    await json.fill('[{"scope": "group", "subject_id": "sales", "requests_per_minute": 5}]');
    await page.getByRole("button", { name: "Save in the draft" }).click();
    await page.getByRole("article", { name: "group sales, added" }).waitFor();

    // The order of a chain is changed with the keyboard.
    await openTab(page, "Policies");
    await page.getByRole("link", { name: "Policy packs" }).click();
    await page.getByRole("link", { name: "Edit as JSON" }).click();
    await page
      .getByRole("textbox", { name: "Policy packs as JSON" })
      .fill('[{"name": "First"}, {"name": "Second"}]');
    await page.getByRole("button", { name: "Save in the draft" }).click();
    await openTab(page, "Policies");
    await page.getByRole("link", { name: "Chain", exact: true }).click();
    for (const pack of ["Second", "First"]) {
      await page.getByRole("button", { name: "Add to packs" }).click();
      await page.getByLabel("Pack required").last().fill(pack);
    }
    await page.getByRole("region", { name: "Packs 2" }).getByRole("button", { name: "Up" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Save in the draft" }).click();
    const chain = page.getByRole("article", { name: "Chain, added" });
    await chain.getByText("What it says").click();
    await chain.getByText('["First","Second"]').waitFor();
    await page.getByRole("button", { name: "Discard" }).click();
    await page.getByRole("button", { name: "Discard the draft" }).click();
    await page.getByRole("heading", { name: "From the policies in force" }).waitFor();
    await visit.close();
  });

  test("an earlier revision becomes a draft, or is returned to at once", async () => {
    const { server, admin } = ours;
    const second = { ...POLICY, name: "Second", pattern: "osprey" };
    await server.call("POST", "/api/v1/static-policies", second, admin);
    const visit = await Visit.open(browser, server, "#/draft/revisions", { key: admin });
    const { page } = visit;
    await page.getByText("in force", { exact: true }).waitFor();
    await visit.inspect("draft-revisions");
    await visit.checkNarrow("draft-revisions");
    await page.getByRole("button", { name: "Take it as a draft" }).first().click();
    await page.getByRole("article", { name: "Second, removed" }).waitFor();
    await page.getByRole("button", { name: "Discard" }).click();
    await page.getByRole("button", { name: "Discard the draft" }).click();
    await visit.go("#/draft/revisions");
    await page.getByRole("button", { name: "Roll back" }).first().click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("Second").waitFor();
    await dialog.getByRole("button", { name: "Roll back" }).click();
    await dialog.waitFor({ state: "detached" });
    expect((await ours.decide("bob", [], "about osprey")).outcome).toBe("ALLOW");
    await visit.close();
  });

  test("a server that is down is shown, and the draft waits for it", async () => {
    const { server, admin } = ours;
    const visit = await Visit.open(browser, server, "#/draft", { key: admin });
    const { page } = visit;
    await startDraft(page);
    await changeAction(page, "warn");
    visit.expect(/ERR_CONNECTION_REFUSED/);
    await server.kill();
    await openTab(page, "Check");
    await page.getByText("The server cannot be reached").waitFor();
    await openTab(page, "What would change");
    await page.getByRole("button", { name: "Replay" }).click();
    await page.getByText("The server cannot be reached").waitFor();
    await openTab(page, "Apply");
    await page.getByLabel("Summary").fill("Warn only");
    await page.getByRole("button", { name: "Apply all changes" }).click();
    await page.getByText("The server cannot be reached").first().waitFor();
    await visit.inspect("draft-down");
    await openTab(page, "Changes (1)");
    await page.getByRole("article", { name: `${POLICY.name}, changed` }).waitFor();
    await visit.close();
  });
});
