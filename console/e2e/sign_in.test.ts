import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Browser } from "playwright-core";
import { startBrowser, Visit } from "./support/browser";
import type { AnswerOf } from "../src/api/types";
import { Server } from "./support/server";

const KEYS = "/api/admin/api-keys";

describe("signing in", () => {
  let server: Server;
  let browser: Browser;
  let admin: string;
  let gateway: string;

  beforeAll(async () => {
    server = await Server.start({ auth: "required" });
    browser = await startBrowser();
    admin = await server.createKey("admin");
    gateway = await server.createKey("pep", "acme");
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
  });

  test("a wrong key is refused with the server's message, and a right one signs in", async () => {
    const visit = await Visit.open(browser, server);
    visit.expect(/401/);
    await visit.page.getByLabel("API key or token").fill("aa_live_wrong");
    await visit.page.getByRole("button", { name: "Sign in" }).click();
    await visit.page.getByRole("alert").getByText("UNAUTHENTICATED").waitFor();
    await visit.inspect("sign-in");
    await visit.checkNarrow("sign-in");
    await visit.signIn(admin);
    await visit.page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
    await visit.close();
  });

  test("the key is in no storage and in no address, unless the user ticks the box", async () => {
    const visit = await Visit.open(browser, server, "", { key: admin });
    const stored = () =>
      visit.page.evaluate(() => JSON.stringify([{ ...sessionStorage }, { ...localStorage }]));
    expect(await stored()).not.toContain(admin);
    expect(visit.page.url()).not.toContain(admin);
    await visit.page.reload();
    await visit.page.getByLabel("API key or token").fill(admin);
    await visit.page.getByLabel("Stay signed in until this tab is closed").check();
    await visit.page.getByRole("button", { name: "Sign in" }).click();
    await visit.page.getByRole("navigation", { name: "Pages" }).waitFor();
    await visit.page.reload();
    await visit.page.getByRole("navigation", { name: "Pages" }).waitFor();
    await visit.page.locator(".account summary").click();
    await visit.page.getByRole("button", { name: "Sign out" }).click();
    await visit.page.getByLabel("API key or token").waitFor();
    expect(await stored()).not.toContain(admin);
    await visit.close();
  });

  test("a gateway's key is offered no page, because its role includes none", async () => {
    const visit = await Visit.open(browser, server, "#/decisions", { key: gateway });
    await visit.page.getByText("Your role does not include").waitFor();
    const menu = visit.page.getByRole("navigation", { name: "Pages" });
    expect(await menu.getByRole("link", { name: "Decisions" }).count()).toBe(0);
    expect(await visit.page.locator(".tenant").textContent()).toBe("acme");
    await visit.close();
  });

  test("a key that is revoked meanwhile leads back to the form, with the reason", async () => {
    const key = await server.createKey("auditor");
    const visit = await Visit.open(browser, server, "", { key });
    const keys = await server.call<AnswerOf<"ListApiKeys">>("GET", KEYS, undefined, admin);
    const last = keys.at(-1);
    await server.call("DELETE", `${KEYS}/${last?.id ?? ""}`, undefined, admin);
    await visit.go("#/decisions");
    await visit.page.getByRole("alert").getByText("UNAUTHENTICATED").waitFor();
    await visit.close();
  });
});
