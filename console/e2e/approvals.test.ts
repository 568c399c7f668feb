import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Browser } from "playwright-core";
import { startBrowser, Visit } from "./support/browser";
import { Server } from "./support/server";

interface Decision {
  readonly outcome: string;
  readonly reason_code: string;
  readonly obligations: readonly { readonly approval_id?: string; readonly token?: string }[];
}

describe("approvals", () => {
  let server: Server;
  let browser: Browser;
  let agent: string;
  let bob: string;
  let ann: string;
  let nobody: string;
  let admin: string;

  beforeAll(async () => {
    server = await Server.start({ auth: "required" });
    browser = await startBrowser();
    admin = await server.createKey("admin");
    const editor = await server.createKey("editor", "acme");
    agent = await server.createKey("pep", "acme");
    nobody = await server.createKey("approver", "acme");
    const person = async (owner: string) => {
      const body = { name: owner, role: "approver", tenants: ["acme"], owner };
      const path = "/api/admin/api-keys";
      return (await server.call<{ key: string }>("POST", path, body, admin)).key;
    };
    bob = await person("bob");
    ann = await person("ann");
    const packs = "/api/admin/policy-packs";
    const { id } = await server.call<{ id: string }>("POST", packs, { name: "Production" }, editor);
    await server.call(
      "POST",
      `${packs}/${id}/rules`,
      {
        name: "deleting in production",
        conditions: { actions: ["db:prod:delete"] },
        action: { type: "ESCALATE", message: "Deleting <i>in</i> production" },
      },
      editor,
    );
    await server.call("PUT", "/api/admin/policy-chains/org", { packs: [{ id }] }, editor);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
  });

  const ask = (table: string, token = "") =>
    server.call<Decision>(
      "POST",
      "/v1/decide",
      {
        subject: { user_id: "ann", agent_id: "ops-bot" },
        action: "db:prod:delete",
        tool: "sql",
        arguments: { table, note: "card 4111 1111 1111 1111" },
        tokens: token === "" ? [] : [token],
      },
      agent,
    );
  const heldBy = (decision: Decision) => {
    const held = decision.obligations.find((one) => one.approval_id !== undefined);
    if (held?.approval_id === undefined || held.token === undefined) throw new Error("not held");
    return { id: held.approval_id, token: held.token };
  };

  test("a request appears while the page is open, is approved with a reason, and passes", async () => {
    const visit = await Visit.open(browser, server, "#/approvals", { key: bob });
    const { page } = visit;
    await page.getByText("Nothing waits.").waitFor();
    await visit.inspect("approvals-empty");
    const held = heldBy(await ask("orders <b>"));
    await page.getByRole("link", { name: "ann, agent ops-bot" }).waitFor();
    await visit.inspect("approvals");
    await visit.checkNarrow("approvals");
    await page.getByRole("link", { name: "ann, agent ops-bot" }).click();
    await page.getByRole("heading", { level: 1, name: "Deleting <i>in</i> production" }).waitFor();
    expect(await page.locator("main").textContent()).not.toContain("4111 1111");
    await page.getByText("orders <b>").waitFor();

    // The server demands a reason, and its words are beside the field.
    visit.expect(/400/);
    await page.getByRole("button", { name: "Approve" }).click();
    await page.locator(".answer .problem").first().waitFor();
    await page.getByLabel("Your reason").fill("CHG-4711");
    await visit.inspect("approval");
    await visit.checkNarrow("approval");
    await page.getByRole("button", { name: "Approve" }).click();
    await page.locator(".page-head").getByText("Approved").waitFor();
    // It passes, once, redacted as always.
    expect((await ask("orders <b>", held.token)).outcome).toBe("REDACT");
    await page.locator(".page-head").getByText("Used").waitFor();
    await page.getByRole("link", { name: "All approvals" }).click();
    await page.getByRole("link", { name: "History" }).click();
    await page.getByRole("table").getByText("CHG-4711").waitFor();
    await page.getByLabel("Filter").fill("no such");
    await page.getByText("No approval matches").waitFor();
    await page.getByLabel("Filter").fill("bob");
    await page.getByRole("table").getByText("CHG-4711").waitFor();
    await visit.inspect("approvals-history");
    await visit.close();
  });

  test("a denial stops the request", async () => {
    const held = heldBy(await ask("customers"));
    const visit = await Visit.open(browser, server, `#/approvals/${held.id}`, { key: bob });
    const { page } = visit;
    await page.getByLabel("Your reason").fill("Not in business hours");
    await page.getByRole("button", { name: "Deny" }).click();
    await page.locator(".page-head").getByText("Denied").waitFor();
    expect((await ask("customers", held.token)).reason_code).toBe("APPROVAL_DENIED");
    await visit.close();
  });

  test("a person cannot approve an own request, and a key without a person gets the reason", async () => {
    const held = heldBy(await ask("logs"));
    const visit = await Visit.open(browser, server, `#/approvals/${held.id}`, { key: ann });
    visit.expect(/403/);
    await visit.page.getByLabel("Your reason").fill("Mine");
    await visit.page.getByRole("button", { name: "Approve" }).click();
    await visit.page.getByRole("alert").waitFor();
    await visit.page.locator(".page-head").getByText("Pending").waitFor();
    await visit.close();

    const other = await Visit.open(browser, server, `#/approvals/${held.id}`, { key: nobody });
    await other.page.getByText("names no person").waitFor();
    expect(await other.page.getByRole("button", { name: "Approve" }).count()).toBe(0);
    await other.close();
  });

  test("an admin cancels; an approval that does not exist is said", async () => {
    const held = heldBy(await ask("old"));
    const visit = await Visit.open(browser, server, `#/approvals/${held.id}`, {
      key: admin,
      tenant: "acme",
    });
    const { page } = visit;
    await page.getByRole("button", { name: "Cancel it…" }).click();
    await page.getByLabel("Reason", { exact: true }).fill("No longer needed");
    await page.getByRole("button", { name: "Cancel the approval" }).click();
    await page.locator(".page-head").getByText("Cancelled").waitFor();
    visit.expect(/404/);
    await visit.go("#/approvals/no-such");
    await page.getByRole("alert").waitFor();
    await visit.close();
  });
});
