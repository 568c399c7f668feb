import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Browser } from "playwright-core";
import { startBrowser, Visit } from "./support/browser";
import { Server } from "./support/server";

interface Decided {
  readonly outcome: string;
}

describe("the kill switch", () => {
  let server: Server;
  let browser: Browser;
  let admin: string;
  let auditor: string;

  beforeAll(async () => {
    server = await Server.start({ auth: "required" });
    browser = await startBrowser();
    admin = await server.createKey("admin");
    auditor = await server.createKey("auditor", "acme");
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
  });

  const decide = (model: object) => server.call<Decided>("POST", "/v1/decide", { model }, admin);

  test("a model is switched off and on, and decisions follow", async () => {
    const visit = await Visit.open(browser, server, "#/kill-switch", { key: admin });
    const { page } = visit;
    const model = page.getByRole("switch", { name: "openai/gpt-4o", exact: true });
    await page.getByText("All models are on.").waitFor();
    await model.click();
    const dialog = page.getByRole("dialog", { name: "Switch off openai/gpt-4o" });
    await dialog.getByText("are blocked at once").waitFor();
    const confirm = dialog.getByRole("button", { name: "Switch off" });
    expect(await confirm.isDisabled()).toBe(true);
    await dialog.getByLabel("Reason").selectOption("security_event");
    await dialog.getByLabel("Note").fill("T-1 <b>leak</b>");
    await visit.inspect("kill-switch-dialog");
    await visit.checkNarrow("kill-switch-dialog");
    await confirm.click();

    const effect = page.getByRole("status").filter({ hasText: "Decisions for openai/gpt-4o now" });
    await effect.getByText("BLOCK").waitFor();
    const shown = /(\d[\d,]*) ms after the switch/.exec((await effect.textContent()) ?? "");
    expect(shown).not.toBeNull();
    expect((await decide({ provider: "openai", model: "gpt-4o" })).outcome).toBe("BLOCK");
    // Another name of the same model.
    expect((await decide({ model: "openrouter/openai/gpt-4o" })).outcome).toBe("BLOCK");
    const row = page.getByRole("listitem").filter({ has: model });
    await row.getByText("Security event, T-1 <b>leak</b>").waitFor();
    await row.getByText(/Off since .* by key:/).waitFor();
    expect(await model.getAttribute("aria-checked")).toBe("false");
    await visit.inspect("kill-switch");
    await visit.checkNarrow("kill-switch");

    await model.click();
    const again = page.getByRole("dialog", { name: "Switch on openai/gpt-4o" });
    await again.getByLabel("Reason").selectOption("security_event");
    await again.getByRole("button", { name: "Switch on" }).click();
    await effect.getByText("ALLOW").waitFor();
    expect((await decide({ provider: "openai", model: "gpt-4o" })).outcome).toBe("ALLOW");
    await visit.close();
  });

  test("a provider is switched off with all that it has", async () => {
    const visit = await Visit.open(browser, server, "#/kill-switch", { key: admin });
    const { page } = visit;
    await page.getByLabel("Filter").fill("grok");
    await page.getByRole("switch", { name: "xai", exact: true }).click();
    const dialog = page.getByRole("dialog", { name: "Switch off xai" });
    await dialog.getByText("also for models of it that are not in the catalog").waitFor();
    await dialog.getByLabel("Reason").selectOption("maintenance");
    await dialog.getByRole("button", { name: "Switch off" }).click();
    await page.getByText("xai is switched off.").waitFor();
    expect((await decide({ provider: "xai", model: "never-heard-of" })).outcome).toBe("BLOCK");
    await page.getByLabel("Filter").fill("");
    await page.getByLabel("Only what is off").check();
    await page.getByRole("region", { name: "openai" }).waitFor({ state: "detached" });
    await page.getByRole("switch", { name: "xai", exact: true }).click();
    const again = page.getByRole("dialog", { name: "Switch on xai" });
    await again.getByText("pass this switch again").waitFor();
    await again.getByRole("button", { name: "Switch on" }).click();
    await page.getByText("Nothing is switched off.").waitFor();
    await visit.close();
  });

  test("a model that the catalog does not have gets an entry, and is switched off", async () => {
    const visit = await Visit.open(browser, server, "#/kill-switch", { key: admin });
    const { page } = visit;
    visit.expect(/404/);
    await page.getByText("Switch off a model by its name").click();
    await page.getByLabel("Model", { exact: true }).fill("openai/gpt-4oo");
    await page.getByRole("button", { name: "Switch off…" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Reason").selectOption("cost_runaway");
    await dialog.getByRole("button", { name: "Switch off", exact: true }).click();
    await dialog.getByRole("alert").getByText("did you mean openai/gpt-4o").first().waitFor();
    await visit.inspect("kill-switch-unknown");
    await dialog.getByRole("button", { name: "Add openai/gpt-4oo to the catalog" }).click();
    await page.getByText("openai/gpt-4oo is switched off.").waitFor();
    expect((await decide({ provider: "openai", model: "gpt-4oo" })).outcome).toBe("BLOCK");
    await visit.close();
  });

  test("an auditor sees the state, and is offered no switch", async () => {
    const visit = await Visit.open(browser, server, "#/kill-switch", { key: auditor });
    const { page } = visit;
    await page.getByRole("region", { name: "anthropic" }).getByText("On").first().waitFor();
    expect(await page.getByRole("switch").count()).toBe(0);
    expect(await page.getByText("Switch off a model by its name").count()).toBe(0);
    await visit.close();
  });

  test("a server that is down is said in the dialog, and nothing seems switched", async () => {
    const own = await Server.start();
    const visit = await Visit.open(browser, own, "#/kill-switch");
    const { page } = visit;
    const model = page.getByRole("switch", { name: "openai/gpt-4o", exact: true });
    await model.click();
    await own.kill();
    visit.expect(/ERR_/);
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Reason").selectOption("other");
    await dialog.getByRole("button", { name: "Switch off" }).click();
    await dialog.getByRole("alert").getByText("cannot be reached").waitFor();
    expect(await model.getAttribute("aria-checked")).toBe("true");
    await visit.close();
    await own.stop();
  });
});
