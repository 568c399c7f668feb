/**
 * The story of docs/console.md: a person who has never seen the product finds why a prompt was
 * blocked, lets it pass for one group, sees what that would have changed, applies it, and switches a
 * model off. Its pictures are those of the page.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Browser } from "playwright-core";
import type { AnswerOf } from "../src/api/types";
import { startBrowser, Visit } from "./support/browser";
import { Server } from "./support/server";

const TENANT = "acme";
const POLICY = "Unreleased projects";
const PROMPT = "Summarize the launch plan of project heron";

let browser: Browser;
let server: Server;
let admin: string;

beforeAll(async () => {
  server = await Server.start({ auth: "required" });
  browser = await startBrowser();
  admin = await server.createKey("admin");
  const call = (method: string, path: string, body: unknown) =>
    server.call(method, path, body, admin, TENANT);
  await call("PUT", "/v1/org/policy", { logging_level: "full" });
  await call("POST", "/api/v1/static-policies", {
    name: POLICY,
    category: "custom",
    pattern: "(?i)\\bproject (?:heron|osprey)\\b",
    action: "block",
    message: "Names of unreleased projects do not leave the company.",
  });
  await call("POST", "/api/admin/limits", {
    scope: "user",
    subject_id: "ivy",
    daily_request_limit: 17,
  });
  for (const request of traffic()) await call("POST", "/v1/decide", request);
});

afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

const decide = (user: string, groups: string[], model = "gpt-4o") =>
  server.call<AnswerOf<"Decide">>(
    "POST",
    "/v1/decide",
    {
      subject: { user_id: user, groups },
      model: { provider: "openai", model },
      content: { text: PROMPT },
    },
    admin,
    TENANT,
  );

/** What the gateways of a small company ask in an hour. */
function traffic(): object[] {
  const texts = [
    "Translate the menu into French",
    "Draft a reply to jane.doe@example.com about her invoice",
    PROMPT,
    "Write a haiku about autumn",
    "SELECT name FROM users UNION SELECT password FROM accounts",
    "Charge the card 4111 1111 1111 1111 again",
  ];
  const users = ["ivy", "liam", "noor", "sam"];
  const models = ["gpt-4o", "gpt-4.1-mini", "gpt-4o"];
  return Array.from({ length: 48 }, (_, index) => ({
    subject: {
      user_id: users[index % users.length],
      groups: index % users.length === 0 ? ["legal"] : ["sales"],
      agent_id: index % 5 === 0 ? "assistant" : "",
    },
    model: { provider: "openai", model: models[index % models.length] },
    content: { text: texts[(index * 5) % texts.length] },
  }));
}

test("from a blocked prompt to a policy in force, and a model that is off", async () => {
  const visit = await Visit.open(browser, server, "", { key: admin, tenant: TENANT });
  const { page } = visit;
  const menu = page.getByRole("navigation", { name: "Pages" });
  await page.getByText("48", { exact: true }).first().waitFor();
  await visit.settle();
  await visit.illustrate("overview");

  // Why was it blocked?
  await menu.getByRole("link", { name: "Decisions" }).click();
  await page.getByText("Outcome", { exact: true }).first().click();
  await page.getByLabel("Block", { exact: true }).check();
  await page.getByLabel("User").fill("ivy");
  await page.getByLabel("User").press("Enter");
  await page.getByText(/decisions?: all that match/).waitFor();
  await visit.illustrate("decisions");
  await page
    .getByRole("table", { name: "Decisions" })
    .locator(".rows")
    .getByRole("row")
    .filter({ hasText: POLICY })
    .first()
    .getByRole("link")
    .first()
    .click();
  await page
    .getByRole("heading", { level: 1, name: `Blocked by the static policy “${POLICY}”` })
    .waitFor();
  await visit.illustrate("decision");

  // Let it pass for one group.
  await menu.getByRole("link", { name: "Draft" }).click();
  await page.getByRole("button", { name: "Start a draft" }).click();
  await page.getByRole("table", { name: "Sections" }).waitFor();
  await page.getByRole("link", { name: "Exceptions" }).click();
  await page.getByRole("link", { name: "Add" }).click();
  await page.getByLabel("Name required").fill("Legal writes the contracts");
  await page.getByLabel("Reason required").fill("Contracts name projects before they are public");
  await page.getByLabel("Ticket required").fill("LEGAL-42");
  await page.getByLabel("Valid until").fill("2999-01-01T00:00:00Z");
  await page.getByLabel("Policies").fill(POLICY);
  await page.getByLabel("Groups").fill("legal");
  await page.getByLabel("Groups").press("Enter");
  await visit.illustrate("exception");
  await page.getByRole("button", { name: "Save in the draft" }).click();
  await page.getByRole("table", { name: "Exceptions" }).getByText("added").waitFor();

  // What would that have changed?
  const parts = page.getByRole("navigation", { name: "Parts of the draft" });
  await parts.getByRole("link", { name: "What would change" }).click();
  await page.getByLabel("Decisions of").selectOption("hour");
  await page.getByRole("button", { name: "Replay" }).click();
  await page.getByRole("heading", { name: /^\d+ of 48 decisions would change$/ }).waitFor();
  await page
    .getByRole("article", { name: /^From BLOCK to / })
    .getByText("ivy")
    .first()
    .waitFor();
  await visit.illustrate("what-would-change");

  // Apply it: the next decision follows.
  expect((await decide("ivy", ["legal"])).outcome).toBe("BLOCK");
  await parts.getByRole("link", { name: "Apply" }).click();
  await page.getByLabel("Summary").fill("Legal may name unreleased projects");
  await visit.illustrate("apply");
  await page.getByRole("button", { name: "Apply all changes" }).click();
  await page.getByRole("article", { name: "Legal may name unreleased projects" }).waitFor();
  expect((await decide("ivy", ["legal"])).allowed).toBe(true);
  expect((await decide("liam", ["sales"])).outcome).toBe("BLOCK");

  // Try a prompt without a record.
  await menu.getByRole("link", { name: "Playground" }).click();
  await page
    .getByLabel("Prompt", { exact: true })
    .last()
    .fill("Charge the card 4111 1111 1111 1111 again");
  await page.keyboard.press("Control+Enter");
  await page.getByRole("heading", { name: "How it was decided" }).waitFor();
  await visit.illustrate("playground");

  // Switch a model off.
  await menu.getByRole("link", { name: "Kill switch" }).click();
  await page.getByRole("switch", { name: "openai/gpt-4o", exact: true }).click();
  const dialog = page.getByRole("dialog", { name: "Switch off openai/gpt-4o" });
  await dialog.getByLabel("Reason").selectOption("security_event");
  await dialog.getByRole("button", { name: "Switch off" }).click();
  await page.getByText("ms after the switch").waitFor();
  await visit.illustrate("kill-switch");
  expect((await decide("ivy", ["legal"])).outcome).toBe("BLOCK");
  expect((await decide("ivy", ["legal"], "gpt-4.1-mini")).allowed).toBe(true);
  await visit.close();
});
