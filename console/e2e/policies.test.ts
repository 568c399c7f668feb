import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Browser, Page } from "playwright-core";
import { startBrowser, Visit } from "./support/browser";
import { Server } from "./support/server";

interface Created {
  readonly id: string;
}

interface Decision {
  readonly outcome: string;
}

const SYSTEM = "sys_command_git_force_push";
const FAR = "2999-01-01T00:00:00Z";

/** Fills an editor with code: a pattern, a condition, samples. */
async function write(page: Page, label: string, text: string): Promise<void> {
  const editor = page.getByRole("textbox", { name: label, exact: true });
  await editor.click();
  await editor.press("ControlOrMeta+A");
  await page.keyboard.insertText(text);
}

/** Checks the page from its top, where the bar with the buttons covers nothing. */
async function inspect(visit: Visit, name: string): Promise<void> {
  await visit.page.evaluate(() => window.scrollTo(0, 0));
  await visit.inspect(name);
}

/** Creates a static policy over the API, and returns its id. */
async function createPolicy(server: Server, fields: Record<string, unknown>): Promise<string> {
  const body = { category: "custom", action: "block", ...fields };
  const answer = await server.call<{ policy: Created }>("POST", "/api/v1/static-policies", body);
  return answer.policy.id;
}

async function decide(server: Server, text: string, groups: readonly string[]): Promise<string> {
  const body = { content: { text }, subject: { user_id: "ann", groups } };
  return (await server.call<Decision>("POST", "/v1/decide", body)).outcome;
}

describe("policies", () => {
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

  test("a person writes a policy, and an exception that lets a prompt pass for one group", async () => {
    const visit = await Visit.open(browser, server, "#/policies");
    const { page } = visit;
    await page.getByRole("heading", { name: "Policies", exact: true }).waitFor();
    await inspect(visit, "policies");

    await page.getByRole("link", { name: "static policy" }).click();
    await page.getByRole("link", { name: "New static policy" }).click();
    await page.getByLabel("Name required").fill("Project codes");
    await page.getByLabel("Category required").selectOption("custom");
    await page.getByLabel("Action required").selectOption("block");
    await write(
      page,
      "Sample texts",
      "About project heron\nNothing here\nProject Osprey 🦅, project heron",
    );
    await write(page, "Pattern", "(?i)project (?:heron|osprey)");
    await page.getByText("2 of 3 lines match, 3 places.").waitFor();
    expect(await page.locator("aside .mark").allTextContents()).toEqual([
      "project heron",
      "Project Osprey",
      "project heron",
    ]);
    await inspect(visit, "policies-new");
    await visit.checkNarrow("policies-new");
    await page.getByRole("button", { name: "Create static policy" }).click();
    await page.getByRole("heading", { name: "Project codes" }).waitFor();
    expect(await decide(server, "See project heron", ["Engineering"])).toBe("BLOCK");

    await page.getByRole("link", { name: "Make an exception" }).click();
    await page.getByRole("button", { name: "Remove Project codes" }).waitFor();
    await page.getByLabel("Name required").fill("Engineering may name projects");
    await page.getByLabel("Reason required").fill("They work on them");
    await page.getByLabel("Ticket required").fill("SEC-7");
    await page.getByLabel("Groups", { exact: true }).fill("Engineering");
    await page.getByLabel("Groups", { exact: true }).press("Enter");
    await page.getByRole("button", { name: "30 days" }).click();
    await page.getByText("It lifts 1 static policy for Engineering, until").waitFor();
    await inspect(visit, "policies-exception");
    await visit.checkNarrow("policies-exception");
    await page.getByRole("button", { name: "Create exception" }).click();
    await page.getByRole("heading", { name: "Engineering may name projects" }).waitFor();
    await page.getByText("active", { exact: true }).waitFor();
    expect(await decide(server, "See project heron", ["Engineering"])).toBe("ALLOW");
    expect(await decide(server, "See project heron", ["Finance"])).toBe("BLOCK");
    await visit.close();
  });

  test("what the server refuses is beside its field, with the place in a condition", async () => {
    const visit = await Visit.open(browser, server, "#/policies/static/new");
    visit.expect(/400|409|422/);
    const { page } = visit;
    await page.getByLabel("Name required").fill("Broken");
    await page.getByLabel("Category required").selectOption("custom");
    await page.getByLabel("Action required").selectOption("warn");
    await write(page, "Pattern", "(heron");
    await page.getByRole("button", { name: "Create static policy" }).click();
    await page.getByRole("alert").waitFor();
    await page.locator(".field.pattern .problem").waitFor();
    await write(page, "Pattern", "heron");
    await page.getByText("Where and when").click();
    await write(page, "Expression", "batch_size >");
    await page.getByRole("button", { name: "Create static policy" }).click();
    await page.locator(".field.condition .problem").getByText("line 1, column").waitFor();
    await inspect(visit, "policies-refused");
    await visit.close();
  });

  test("a change by another user is shown, and either side can win", async () => {
    const id = await createPolicy(server, { name: "Contested", pattern: "contested" });
    const visit = await Visit.open(browser, server, `#/policies/static/${id}`);
    visit.expect(/412/);
    const { page } = visit;
    await page.getByLabel("Severity").selectOption("high");
    await server.call("PUT", `/api/v1/static-policies/${id}`, { message: "Theirs" });
    await page.getByRole("button", { name: "Save", exact: true }).click();
    const dialog = page.getByRole("dialog", { name: "Another user has changed it" });
    await dialog.getByText("Theirs").first().waitFor();
    await inspect(visit, "policies-conflict");
    await dialog.getByRole("button", { name: "Write mine over it" }).click();
    await page.getByText(/in force from revision/).waitFor();
    await dialog.waitFor({ state: "detached" });
    const merged = await server.call<Record<string, unknown>>(
      "GET",
      `/api/v1/static-policies/${id}`,
    );
    expect(merged).toMatchObject({ severity: "high", message: "Theirs" });

    await page.getByText("No changes.").waitFor();
    await page.getByLabel("Severity").selectOption("low");
    await server.call("PUT", `/api/v1/static-policies/${id}`, { message: "Again" });
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await dialog.getByRole("button", { name: "Take theirs" }).click();
    await page.getByText("No changes.").waitFor();
    expect(await page.getByLabel("Message").inputValue()).toBe("Again");
    expect(await page.getByLabel("Severity").inputValue()).toBe("high");
    await visit.close();
  });

  test("the history shows who changed what, and restores a version", async () => {
    const id = await createPolicy(server, { name: "Versioned", pattern: "first" });
    const path = `/api/v1/static-policies/${id}`;
    await server.call("PUT", path, { pattern: "second", message: "New" });
    const visit = await Visit.open(browser, server, `#/policies/static/${id}/history`);
    const { page } = visit;
    await page.getByText("Version 2").waitFor();
    await page.getByText("What differs").click();
    await page.getByRole("cell", { name: "second" }).first().waitFor();
    await inspect(visit, "policies-history");
    await visit.checkNarrow("policies-history");
    await page.getByRole("button", { name: "Restore this version" }).last().click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("cell", { name: "first" }).waitFor();
    await dialog.getByRole("button", { name: "Restore", exact: true }).click();
    await page.getByText("Version 3").waitFor();
    const restored = await server.call<Record<string, unknown>>("GET", path);
    expect(restored).toMatchObject({ pattern: "first", message: "" });
    await visit.close();
  });

  test("a policy of the product is overridden, with the server's warning, and restored", async () => {
    const visit = await Visit.open(browser, server, `#/policies/static/${SYSTEM}`);
    const { page } = visit;
    await page.getByText("This policy ships with the product.").waitFor();
    expect(await page.getByRole("button", { name: "Save", exact: true }).count()).toBe(0);
    await page.getByLabel("Action required").selectOption("log");
    await page.getByLabel("Reason").fill("Bots may do it");
    await page.getByRole("button", { name: "Override", exact: true }).click();
    await page.getByText(/is weaker than the system policy/).waitFor();
    await inspect(visit, "policies-override");
    await page.getByRole("button", { name: "Remove the override" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Remove", exact: true }).click();
    await page.getByRole("button", { name: "Override", exact: true }).waitFor();
    const { count } = await server.call<{ count: number }>(
      "GET",
      "/api/v1/static-policies/overrides",
    );
    expect(count).toBe(0);
    await page.getByRole("link", { name: "Copy as new" }).click();
    await page.getByLabel("Name required").waitFor();
    expect(await page.getByLabel("Name required").inputValue()).toMatch(/^Copy of /);
    await visit.close();
  });

  test("packs of the chain and rules of a pack are moved by drag and by keyboard", async () => {
    const rule = (name: string) => ({ name, action: { type: "ALLOW" } });
    const packs = await Promise.all(
      ["Alpha", "Beta", "Gamma"].map((name) =>
        server.call<Created>("POST", "/api/admin/policy-packs", {
          name,
          rules: [rule(`${name} 1`), rule(`${name} 2`)],
        }),
      ),
    );
    const body = { packs: packs.map(({ id }) => ({ id })) };
    await server.call("PUT", "/api/admin/policy-chains/org", body);
    const visit = await Visit.open(browser, server, "#/policies/chains/org");
    const { page } = visit;
    const list = page.getByRole("list", { name: "Packs of the chain" });
    const names = () => list.getByRole("link").allTextContents();
    await list.getByText("Gamma").waitFor();
    await inspect(visit, "policies-chain");
    await visit.checkNarrow("policies-chain");
    await list.getByRole("listitem").nth(2).dragTo(list.getByRole("listitem").nth(0));
    expect(await names()).toEqual(["Gamma", "Alpha", "Beta"]);
    await list.getByRole("button", { name: /^Move Beta/ }).press("ArrowUp");
    expect(await names()).toEqual(["Gamma", "Beta", "Alpha"]);
    await page.getByText("Beta is now 2 of 3.").waitFor();
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByText(/in force from revision/).waitFor();
    const chains = await server.call<{ packs: { pack_name: string }[] }[]>(
      "GET",
      "/api/admin/policy-chains",
    );
    expect(chains[0]?.packs.map((pack) => pack.pack_name)).toEqual(["Gamma", "Beta", "Alpha"]);

    await visit.go(`#/policies/packs/${packs[0]?.id ?? ""}`);
    await page.getByRole("button", { name: /^Move Alpha 2/ }).press("Home");
    await page.getByRole("button", { name: "Save the order" }).click();
    await page.getByText("The new order is in force.").waitFor();
    // Each of its rules decides every request, so one of them is never reached.
    await page
      .getByText(/is never reached/)
      .first()
      .waitFor();
    await page.getByRole("link", { name: "New rule" }).click();
    await page.getByLabel("Name required").fill("Ask first");
    await page.getByLabel("Type required").selectOption("PROMPT");
    await page.getByLabel("Prompt message required").fill("Why?");
    await page.getByRole("button", { name: "Create rule" }).click();
    await page.getByRole("heading", { name: "Ask first" }).waitFor();
    await page.getByText("Details").waitFor();
    await inspect(visit, "policies-rule");
    await visit.close();
  });

  test("bundles are put in force for groups in the matrix, and for all users", async () => {
    const visit = await Visit.open(browser, server, "#/policies/matrix");
    const { page } = visit;
    const cell = page.getByRole("checkbox", { name: "GDPR for Finance" });
    await cell.check();
    await page.getByText("In force: GDPR for Finance").waitFor();
    await inspect(visit, "policies-matrix");
    await visit.checkNarrow("policies-matrix");
    const groups = await server.call<{ name: string; bundle_ids: string[] }[]>(
      "GET",
      "/api/admin/user-groups",
    );
    expect(groups.find(({ name }) => name === "Finance")?.bundle_ids).toHaveLength(1);
    await page.getByRole("link", { name: "PCI-DSS" }).click();
    await page.getByRole("button", { name: "Upgrade" }).click();
    await page
      .getByRole("dialog")
      .getByRole("button", { name: /^Upgrade/ })
      .click();
    await page.getByText(/^Upgraded to/).waitFor();
    await page.getByRole("button", { name: "Activate" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Activate for all users" }).click();
    await page.getByText("Active for all users").waitFor();
    await inspect(visit, "policies-bundle");
    await visit.close();
  });

  test("DLP rules are exported, imported and tried", async () => {
    const visit = await Visit.open(browser, server, "#/policies/dlp");
    const { page } = visit;
    await page.getByRole("button", { name: "Import" }).click();
    const dialog = page.getByRole("dialog", { name: "Import DLP rules" });
    const common = { detector_type: "regex", entity_type: "TICKET", action_tier: "redact" };
    const rules = [
      { ...common, detector_name: "Tickets", config_json: { pattern: "TCK-[0-9]+" } },
      { ...common, detector_name: "Broken", config_json: { pattern: "(" } },
    ];
    await dialog.getByLabel("Or its content").fill(JSON.stringify({ rules }));
    await dialog.getByRole("button", { name: "Import" }).click();
    await dialog.getByText("1 created, 0 replaced, 0 kept as they were, 1 invalid.").waitFor();
    await dialog.getByRole("button", { name: "Close" }).last().click();
    await page.getByLabel("Origin").selectOption("own");
    await page.getByText(/^1 of /).waitFor();
    await inspect(visit, "policies-dlp");
    await visit.checkNarrow("policies-dlp");
    await page.getByLabel("Filter").fill("no such rule");
    await page.getByRole("button", { name: "Remove the filter" }).click();
    await page.getByLabel("Filter").fill("tck");
    await page.getByText("Nothing matches the filter.").waitFor();
    await page.getByLabel("Filter").fill("tickets");
    await page.getByRole("link", { name: "Tickets" }).click();
    await write(page, "Sample texts", "See TCK-12");
    await page.getByText("1 of 1 lines match").waitFor();
    const download = page.waitForEvent("download");
    await visit.go("#/policies/dlp");
    await page.getByRole("button", { name: "Export" }).click();
    expect((await download).suggestedFilename()).toBe("dlp-rules.json");
    await visit.close();
  });

  test("customers, limits, groups, the org policy and the settings are edited", async () => {
    const visit = await Visit.open(browser, server, "#/policies/customers/new");
    visit.expect(/422/);
    const { page } = visit;
    await page.getByLabel("Customer ID required").fill("acme");
    const rule = { condition: "x >", score_impact: 3, description: "d" };
    await write(page, "Policies", JSON.stringify({ custom_rules: { night: rule } }));
    await page.getByRole("button", { name: "Create customer policy" }).click();
    await page.locator(".field.json .problem").getByText("line 1, column 4").waitFor();
    await write(page, "Policies", '{"allowed_tools": ["read_file"]}');
    await page.getByRole("button", { name: "Create customer policy" }).click();
    await page.getByRole("heading", { name: "acme" }).waitFor();

    await visit.go("#/policies/limits/new");
    await page.getByLabel("Scope required").selectOption("user");
    await page.getByLabel("Subject ID required").fill("ann");
    await page.getByLabel("Daily request limit").fill("5");
    await page.getByRole("button", { name: "Create limit" }).click();
    await page.getByText("of 5").waitFor();
    await inspect(visit, "policies-limit");
    await page.getByLabel("Daily request limit").fill("");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByText("0 of 5").waitFor({ state: "detached" });

    await visit.go("#/policies/groups/new");
    await page.getByLabel("Name required").fill("SRE");
    await page.getByLabel("Members", { exact: true }).fill("ann");
    await page.getByLabel("Members", { exact: true }).press("Enter");
    await page.getByRole("button", { name: "Create user group" }).click();
    await page.getByRole("heading", { name: "SRE" }).waitFor();

    await visit.go("#/policies/org-policy");
    await page.getByLabel("Logging level").selectOption("full");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByText("No changes.").waitFor();
    await inspect(visit, "policies-org");

    await visit.go("#/policies/settings");
    await page.getByLabel("Unknown model").selectOption("block");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByText("No changes.").waitFor();
    await page.getByRole("link", { name: "History" }).click();
    await page.getByText("Set unknown_model to block").waitFor();
    await server.call("PUT", "/v1/tenant/settings", { unknown_model: "allow" });

    await visit.go("#/policies/changes?kind=user_group");
    await page.getByRole("link", { name: "SRE" }).waitFor();
    await inspect(visit, "policies-changes");
    await visit.checkNarrow("policies-changes");
    await createPolicy(server, { name: "Unmatched", pattern: "unmatched" });
    await visit.go("#/policies/problems");
    await page.getByRole("heading", { name: /^Without a match/ }).waitFor();
    await page.getByRole("link", { name: "Unmatched" }).waitFor();
    await inspect(visit, "policies-problems");
    await visit.close();
  });

  test("a deleted policy is created again from the change log", async () => {
    const id = await createPolicy(server, { name: "Short-lived", pattern: "short", message: "m" });
    const visit = await Visit.open(browser, server, `#/policies/static/${id}`);
    visit.expect(/404/);
    const { page } = visit;
    await page.getByRole("button", { name: "Delete" }).click();
    await page.getByRole("button", { name: "Delete this static policy" }).click();
    await page.getByText("Deleted: Short-lived").waitFor();
    await page.getByRole("table", { name: "Static policies" }).waitFor();
    await visit.go(`#/policies/static/${id}`);
    await page.getByRole("alert").waitFor();
    await visit.go("#/policies/changes?op=delete");
    await page.getByRole("link", { name: "Create it again" }).click();
    await page.getByRole("button", { name: "Create static policy" }).waitFor();
    expect(await page.getByLabel("Name required").inputValue()).toBe("Short-lived");
    expect(await page.getByLabel("Message").inputValue()).toBe("m");
    await page.getByRole("button", { name: "Create static policy" }).click();
    await page.getByRole("heading", { name: "Short-lived" }).waitFor();
    await visit.close();
  });

  test("a list of 5,000 policies has few rows in the document, and is filtered", async () => {
    const own = await Server.start();
    const static_policies = Array.from({ length: 5_000 }, (_one, index) => ({
      name: `Policy ${index}`,
      category: "custom",
      pattern: `word${index}x`,
      action: index % 2 === 0 ? "log" : "warn",
    }));
    const body = { policies: { static_policies }, mode: "merge" };
    await own.call("POST", "/v1/policy-file/import", body);
    const visit = await Visit.open(browser, own, "#/policies/static?origin=own");
    const { page } = visit;
    await page.getByText(/^5,000 of /).waitFor();
    expect(await page.getByRole("row").count()).toBeLessThan(60);
    await page.getByLabel("Filter").fill("word4321x");
    await page.getByText(/^1 of /).waitFor();
    await page.waitForURL(/q=word4321x/);
    await page.getByRole("link", { name: "Policy 4321" }).click();
    await page.getByRole("heading", { name: "Policy 4321" }).waitFor();
    await page.goBack();
    await page.getByText(/^1 of /).waitFor();
    await inspect(visit, "policies-many");
    await visit.close();
    await own.stop();
  });

  test("an edit can wait in the draft", async () => {
    const id = await createPolicy(server, { name: "Drafted", pattern: "drafted" });
    const visit = await Visit.open(browser, server, `#/policies/static/${id}`);
    const { page } = visit;
    await page.getByLabel("Severity").selectOption("critical");
    await page.getByRole("button", { name: "Add to draft" }).click();
    await page.getByRole("link", { name: "Open the draft" }).click();
    await page.getByText("Drafted").first().waitFor();
    const policy = await server.call<{ severity: string }>("GET", `/api/v1/static-policies/${id}`);
    expect(policy.severity).toBe("medium");
    await visit.close();
  });

  test("a server that is down is said, and nothing that was typed is lost", async () => {
    const own = await Server.start();
    const visit = await Visit.open(browser, own, "#/policies/static/new");
    visit.expect(/Failed to load|ERR_CONNECTION/);
    const { page } = visit;
    await page.getByLabel("Name required").fill("Kept");
    await own.kill();
    await page.getByRole("button", { name: "Create static policy" }).click();
    await page.getByRole("alert").getByText("The server cannot be reached.").waitFor();
    expect(await page.getByLabel("Name required").inputValue()).toBe("Kept");
    await visit.close();
    await own.stop();
  });
});

describe("roles", () => {
  let server: Server;
  let browser: Browser;
  const keys: Record<string, string> = {};

  beforeAll(async () => {
    server = await Server.start({ auth: "required" });
    browser = await startBrowser();
    for (const role of ["admin", "auditor"]) keys[role] = await server.createKey(role, "acme");
    keys["second"] = await server.createKey("admin", "acme");
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
  });

  test("an auditor reads policies, and is not offered to change them", async () => {
    const id = (
      await server.call<{ policy: Created }>(
        "POST",
        "/api/v1/static-policies",
        { name: "Read me", category: "custom", pattern: "read me", action: "log" },
        keys["admin"],
      )
    ).policy.id;
    const visit = await Visit.open(browser, server, "#/policies/static", {
      key: keys["auditor"] ?? "",
    });
    const { page } = visit;
    await page.getByRole("table", { name: "Static policies" }).waitFor();
    expect(await page.getByRole("link", { name: "New static policy" }).count()).toBe(0);
    await visit.go(`#/policies/static/${id}`);
    await page.getByText("Your role may read this static policy").waitFor();
    expect(await page.getByRole("button", { name: "Save", exact: true }).count()).toBe(0);
    expect(await page.getByRole("button", { name: "Delete" }).count()).toBe(0);
    await inspect(visit, "policies-auditor");
    await visit.close();
  });

  test("an exception waits for another person", async () => {
    const admin = keys["admin"] ?? "";
    await server.call("PUT", "/v1/tenant/settings", { exceptions_need_approval: true }, admin);
    const body = {
      name: "Needs two",
      reason: "r",
      ticket: "T-1",
      groups: ["sre"],
      families: ["sql"],
    };
    const made = await server.call<Created>(
      "POST",
      "/v1/exceptions",
      { ...body, valid_until: FAR },
      admin,
    );
    const address = `#/policies/exceptions/${made.id}`;
    const first = await Visit.open(browser, server, address, { key: admin });
    first.expect(/403/);
    await first.page.getByText("another person must approve it").waitFor();
    await first.page.getByRole("button", { name: "Approve" }).click();
    await first.page.getByRole("button", { name: "Approve this exception" }).click();
    await first.page.getByRole("alert").getByText("APPROVAL_REFUSED").waitFor();
    await first.close();
    const second = await Visit.open(browser, server, address, { key: keys["second"] ?? "" });
    await second.page.getByRole("button", { name: "Approve" }).click();
    await second.page.getByRole("button", { name: "Approve this exception" }).click();
    await second.page.getByText("active", { exact: true }).waitFor();
    await second.close();
  });
});
