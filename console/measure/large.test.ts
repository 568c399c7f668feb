/** Prints how fast the console is with 10,000 records and 5,000 policies. Reports, does not gate. */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startBrowser, Visit } from "../e2e/support/browser";
import { Server } from "../e2e/support/server";

const RECORDS = 10_000;
const POLICIES = 5_000;
const BATCH = 500;
const ROUNDS = 7;

let server: Server;
let browser: Browser;

beforeAll(async () => {
  server = await Server.start();
  browser = await startBrowser();
  await server.call("PUT", "/v1/org/policy", { logging_level: "full" });
  const policies = Array.from({ length: POLICIES }, (_, index) => ({
    name: `Policy ${index}`,
    category: "custom",
    pattern: `needle-${index}-[0-9]+`,
    action: ["block", "warn", "log"][index % 3],
  }));
  await server.call("POST", "/v1/policy-file/import", { policies: { static_policies: policies } });
  for (let sent = 0; sent < RECORDS; sent += BATCH) {
    const requests = Array.from({ length: BATCH }, (_, index) => ({
      subject: { user_id: `user-${(sent + index) % 200}` },
      model: { provider: "openai", model: "gpt-4o" },
      content: { text: `text ${sent + index} needle-${index}-1` },
    }));
    await server.call("POST", "/v1/decide/batch", { requests });
  }
}, 600_000);

afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

/** Returns how long it takes until what an action changes is painted, in milliseconds. */
async function painted(page: Page, selector: string, action: string): Promise<number> {
  return page.evaluate(
    ([target = "", kind = ""]) =>
      new Promise<number>((resolve, reject) => {
        const element = document.querySelector<HTMLElement>(target);
        if (element === null) return reject(new Error(`no ${target}`));
        const begin = performance.now();
        if (kind === "scroll") element.scrollTop += 20_000;
        else {
          (element as HTMLInputElement).value = kind;
          element.dispatchEvent(new InputEvent("input", { bubbles: true }));
        }
        requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - begin)));
      }),
    [selector, action],
  );
}

function report(name: string, times: number[]): void {
  const sorted = [...times].sort((a, b) => a - b);
  const middle = sorted[Math.floor(sorted.length / 2)] ?? 0;
  console.log(
    `${name.padEnd(44)} median ${middle.toFixed(0).padStart(5)} ms, most ${(sorted.at(-1) ?? 0).toFixed(0).padStart(5)} ms`,
  );
}

test.each([
  ["the overview", ""],
  ["10,000 decisions", "#/decisions"],
  ["5,000 static policies", "#/policies/static"],
])("first load of %s", async (name, address) => {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const begin = performance.now();
    const visit = await Visit.open(browser, server, address);
    await visit.settle();
    times.push(performance.now() - begin);
    await visit.close();
  }
  report(`first load of ${name}`, times);
  expect(times).toHaveLength(ROUNDS);
});

test.each([
  ["scrolling decisions", "#/decisions", ".table .rows", ["scroll", "scroll", "scroll"]],
  ["scrolling policies", "#/policies/static", ".table .rows", ["scroll", "scroll"]],
  ["filtering policies", "#/policies/static", 'main input[type="search"]', ["4", "49", "499", ""]],
])("%s", async (name, address, selector, actions) => {
  const visit = await Visit.open(browser, server, address);
  await visit.settle();
  const times: number[] = [];
  for (const action of actions) times.push(await painted(visit.page, selector, action));
  report(name, times);
  await visit.close();
});
