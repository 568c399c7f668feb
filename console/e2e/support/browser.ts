/** A real browser for a test, and what every page of the console must hold to. */
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { expect } from "vitest";
import type { Server } from "./server";

const CHROMIUM = process.env["PDP_TEST_CHROMIUM"] ?? "/usr/bin/chromium";
const ARTIFACTS = fileURLToPath(new URL("../../artifacts/", import.meta.url));
const PICTURES = fileURLToPath(new URL("../../../docs/pictures/", import.meta.url));
const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

/** Starts Chromium. It connects to nothing by itself. */
export async function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--no-first-run",
    ],
  });
}

export interface VisitOptions {
  /** The key to sign in with; none in development mode. */
  readonly key?: string;
  readonly tenant?: string;
  readonly width?: number;
  readonly height?: number;
}

/** One user of the console in a window of their own. */
export class Visit {
  private readonly faults: string[] = [];
  /** Failed requests that the test expects, as parts of what the browser logs. */
  private readonly expected: RegExp[] = [];

  private constructor(
    readonly page: Page,
    readonly server: Server,
  ) {}

  /** Opens the console at an address such as `#/decisions`, and signs in. */
  static async open(
    browser: Browser,
    server: Server,
    address = "",
    options: VisitOptions = {},
  ): Promise<Visit> {
    const context = await browser.newContext({
      viewport: { width: options.width ?? 1280, height: options.height ?? 900 },
      permissions: ["clipboard-read", "clipboard-write"],
    });
    const page = await context.newPage();
    const visit = new Visit(page, server);
    visit.watch();
    if (options.key !== undefined) visit.expect(/401/);
    await page.goto(`${server.url}/console/${address}`);
    if (options.key !== undefined) await visit.signIn(options.key, options.tenant ?? "");
    return visit;
  }

  async signIn(key: string, tenant = ""): Promise<void> {
    await this.page.getByLabel("API key or token").fill(key);
    await this.page.getByLabel("Tenant").fill(tenant);
    await this.page.getByRole("button", { name: "Sign in" }).click();
    await this.page.getByRole("navigation", { name: "Pages" }).waitFor();
  }

  /** Allows an error that the browser logs, such as an answer of the status 403. */
  expect(error: RegExp): void {
    this.expected.push(error);
  }

  /** Shows a page by its address. */
  async go(address: string): Promise<void> {
    await this.page.goto(`${this.server.url}/console/${address}`);
  }

  /** Waits until the page has asked everything that it asks, and shows no progress. */
  async settle(): Promise<void> {
    await this.page.getByRole("heading", { level: 1 }).waitFor();
    await this.page.waitForFunction(() => document.querySelector(".progress") === null);
  }

  /** Checks the page with axe: WCAG 2.2, levels A and AA. */
  async checkAccessibility(): Promise<void> {
    // The policy of the page forbids foreign scripts, so axe comes in past it.
    await this.page.evaluate(await readFile(AXE, "utf8"));
    const violations = await this.page.evaluate(async () => {
      const { axe } = globalThis as unknown as { axe: typeof import("axe-core") };
      const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
      const results = await axe.run(document, { runOnly: { type: "tag", values: tags } });
      return results.violations.map(
        ({ id, help, nodes }) =>
          `${id}: ${help}\n${nodes.map((node) => `  ${node.html}\n  ${node.failureSummary ?? ""}`).join("\n")}`,
      );
    });
    expect(violations).toEqual([]);
  }

  /** Checks the page in light and dark, and keeps a picture of each. */
  async inspect(name: string): Promise<void> {
    await mkdir(ARTIFACTS, { recursive: true });
    for (const scheme of ["light", "dark"] as const) {
      await this.page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
      await this.checkAccessibility();
      await this.page.screenshot({ path: `${ARTIFACTS}${name}-${scheme}.png` });
    }
  }

  /** Keeps a picture for docs/console.md: in the docs if `PDP_TEST_PICTURES` is set. */
  async illustrate(name: string): Promise<void> {
    const directory = process.env["PDP_TEST_PICTURES"] === undefined ? ARTIFACTS : PICTURES;
    await mkdir(directory, { recursive: true });
    await this.page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
    for (const notice of await this.page.getByRole("button", { name: "Dismiss" }).all())
      await notice.click();
    await this.page.evaluate(() => window.scrollTo(0, 0));
    await this.page.screenshot({ path: `${directory}console-${name}.png` });
  }

  /** Checks that the page is usable at 360 pixels: nothing is wider than the window. */
  async checkNarrow(name: string): Promise<void> {
    const before = this.page.viewportSize();
    await this.page.setViewportSize({ width: 360, height: 800 });
    const wider = () =>
      this.page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
    // Charts follow the width of the window a moment later.
    await expect.poll(wider, { message: "pixels beyond the window" }).toBeLessThanOrEqual(0);
    await mkdir(ARTIFACTS, { recursive: true });
    await this.page.screenshot({ path: `${ARTIFACTS}${name}-narrow.png` });
    if (before !== null) await this.page.setViewportSize(before);
  }

  /** Closes the window, and checks that the page has logged no error and met the policy. */
  async close(): Promise<void> {
    await this.page.context().close();
    const unexpected = this.faults.filter((fault) => !this.expected.some((one) => one.test(fault)));
    expect(unexpected).toEqual([]);
  }

  private watch(): void {
    this.page.on("pageerror", (error) => this.faults.push(`uncaught: ${error.message}`));
    this.page.on("console", (message) => {
      const serious = message.type() === "error" || message.type() === "warning";
      if (serious) this.faults.push(`${message.type()}: ${message.text()}`);
    });
    // A dialog of the browser is what an injected script would open.
    this.page.on("dialog", (dialog) => {
      this.faults.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    this.page.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith(this.server.url) && !url.startsWith("data:") && !url.startsWith("blob:"))
        this.faults.push(`a request to another server: ${url}`);
    });
  }
}
