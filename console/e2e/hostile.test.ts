import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startBrowser, Visit } from "./support/browser";
import { type Seeded, seedHostile } from "./support/hostile";
import { Server } from "./support/server";

/** What a text has become if a page took it for more than text. */
async function injected(page: Page): Promise<unknown> {
  return page.evaluate(() => ({
    ran: (window as unknown as { __ran?: unknown }).__ran ?? "nothing",
    elements: document.querySelectorAll(
      'img[src="x"], iframe, svg[onload], [onerror], [onload], body script, a[href^="javascript:" i]',
    ).length,
  }));
}

const CLEAN = { ran: "nothing", elements: 0 };

describe("hostile texts", () => {
  let server: Server;
  let browser: Browser;
  let seeded: Seeded;

  beforeAll(async () => {
    server = await Server.start();
    browser = await startBrowser();
    seeded = await seedHostile(server);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
  });

  const id = encodeURIComponent;
  const PAGES: [string, () => string][] = [
    ["overview", () => "#/"],
    ["decisions", () => "#/decisions"],
    ["a decision", () => `#/decisions/${seeded.decisionId}`],
    ["a filter of decisions", () => `#/decisions?user_id=${id('"><img src=x onerror="__ran=1">')}`],
    ["the playground", () => `#/playground?text=${id('<img src=x onerror="__ran=1">')}`],
    ["static policies", () => "#/policies/static"],
    ["a static policy", () => `#/policies/static/${seeded.policyId}`],
    ["the history of a static policy", () => `#/policies/static/${seeded.policyId}/history`],
    ["DLP rules", () => "#/policies/dlp"],
    ["bundles", () => "#/policies/compliance"],
    ["the matrix", () => "#/policies/matrix"],
    ["packs", () => "#/policies/packs"],
    ["the rules of a pack", () => `#/policies/packs/${seeded.packId}/rules`],
    ["chains", () => "#/policies/chains"],
    ["customer policies", () => "#/policies/customers"],
    ["a customer policy", () => `#/policies/customers/${id(seeded.customerId)}`],
    ["the org policy", () => "#/policies/org-policy"],
    ["limits", () => "#/policies/limits"],
    ["user groups", () => "#/policies/groups"],
    ["exceptions", () => "#/policies/exceptions"],
    ["a new exception", () => "#/policies/exceptions/new"],
    ["changes", () => "#/policies/changes"],
    ["problems", () => "#/policies/problems"],
    ["the draft", () => "#/draft"],
    ["the kill switch", () => "#/kill-switch"],
    ["approvals", () => "#/approvals"],
    ["an approval", () => `#/approvals/${seeded.approvalId}`],
    ["keys", () => "#/operate"],
    ["alerts", () => "#/operate/alerts"],
    ["models", () => "#/operate/models"],
  ];

  test.each(PAGES)("stay text on %s", async (_name, address) => {
    const visit = await Visit.open(browser, server, address());
    await visit.settle();
    expect(await injected(visit.page)).toEqual(CLEAN);
    expect(await visit.page.getByRole("heading", { name: /^No such/ }).count()).toBe(0);
    await visit.close();
  });

  test("stay text in an address that leads nowhere", async () => {
    const visit = await Visit.open(browser, server, `#/${id("<img src=x onerror=__ran=1>")}`);
    await visit.page.getByRole("heading", { name: "No such page" }).waitFor();
    expect(await injected(visit.page)).toEqual(CLEAN);
    await visit.close();
  });

  test("are shown as they are", async () => {
    const visit = await Visit.open(browser, server, `#/decisions/${seeded.decisionId}`);
    await visit.settle();
    await visit.page.getByText("hostile-", { exact: false }).first().waitFor();
    await visit.close();
  });
});
