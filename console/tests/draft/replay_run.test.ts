import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { BodyOf } from "../../src/api/types";
import type { Draft } from "../../src/draft/draft_store";
import { lastRun, type Selection, startReplay, stopReplay } from "../../src/pages/draft/replay_run";
import { identity, signOut, tenant, type Identity } from "../../src/session";

const DRAFT: Draft = {
  name: "",
  tenant: "acme",
  baseRevision: 1,
  base: {},
  edited: { limits: [{ scope: "user", subject_id: "ann" }] },
};
const ALL: Selection = { period: "hour", outcomes: [], limit: 1_000 };

type Body = BodyOf<"Replay">;

/** Answers a page at a time; a page that is held waits until it is released or aborted. */
class Pages {
  readonly bodies: Body[] = [];
  private waiting: (() => void)[] = [];

  constructor(
    private readonly cursors: readonly string[],
    private readonly held: number = Number.POSITIVE_INFINITY,
  ) {
    vi.stubGlobal("fetch", (_url: string, request: RequestInit) => this.answer(request));
  }

  release(): void {
    for (const go of this.waiting.splice(0)) go();
  }

  private async answer({ body, signal }: RequestInit): Promise<Response> {
    const index = this.bodies.push(JSON.parse(String(body)) as Body) - 1;
    if (index >= this.held) {
      await new Promise<void>((go, refuse) => {
        this.waiting.push(go);
        signal?.addEventListener("abort", () => refuse(new Error("aborted")));
      });
    }
    const page = {
      replayed: 500,
      changed: 2,
      changes: [],
      not_replayed: [],
      gaps: [],
      on_other_policies: 0,
      progress: 0.25 * (index + 1),
      next_cursor: this.cursors[index] ?? "",
    };
    return new Response(JSON.stringify(page));
  }
}

beforeEach(() => {
  identity.value = { kind: "api_key", name: "ann", tenant_id: "acme" } as Identity;
});
afterEach(() => {
  signOut();
  tenant.value = "";
  vi.unstubAllGlobals();
});

describe("a replay", () => {
  test("asks page by page, until there are no more", async () => {
    const pages = new Pages(["1.1.9", ""]);
    await startReplay(DRAFT, { ...ALL, outcomes: ["BLOCK"], limit: 10_000 });
    expect(pages.bodies.map(({ cursor, limit }) => [cursor, limit])).toEqual([
      ["", 500],
      ["1.1.9", 500],
    ]);
    expect(pages.bodies[0]).toMatchObject({
      overlay: { policies: DRAFT.edited, policies_mode: "replace" },
      recorded: { outcomes: ["BLOCK"] },
    });
    // The period is the same on all pages, however long they take.
    expect(pages.bodies[1]?.recorded).toEqual(pages.bodies[0]?.recorded);
    expect(lastRun.value).toMatchObject({
      state: "finished",
      total: { replayed: 1_000, changed: 4, progress: 1 },
    });
  });

  test("is bounded, and says so", async () => {
    const pages = new Pages(["a", "b", "c", "d"]);
    await startReplay(DRAFT, ALL);
    expect(pages.bodies).toHaveLength(2);
    expect(lastRun.value).toMatchObject({ state: "limited", total: { progress: 0.5 } });
  });

  test("that is stopped keeps what it has found", async () => {
    const pages = new Pages(["a", "b"], 1);
    const run = startReplay(DRAFT, ALL);
    await expect.poll(() => pages.bodies.length).toBe(2);
    expect(lastRun.value).toMatchObject({ state: "running", total: { replayed: 500 } });
    stopReplay();
    await run;
    expect(lastRun.value).toMatchObject({ state: "stopped", total: { replayed: 500 } });
  });

  test("that is started again replaces the one before", async () => {
    const pages = new Pages(["a", "", ""], 1);
    const first = startReplay(DRAFT, ALL);
    await expect.poll(() => pages.bodies.length).toBe(2);
    const second = startReplay({ ...DRAFT, name: "again" }, ALL);
    await first;
    await expect.poll(() => pages.bodies.length).toBe(3);
    pages.release();
    await second;
    expect(lastRun.value).toMatchObject({ state: "finished", draft: { name: "again" } });
  });

  test("stops when the tenant is changed: the next page would be of another one", async () => {
    identity.value = { kind: "api_key", name: "ann", tenant_id: "" } as Identity;
    tenant.value = "acme";
    const pages = new Pages(["a", "b"], 1);
    const run = startReplay(DRAFT, ALL);
    await expect.poll(() => pages.bodies.length).toBe(2);
    tenant.value = "globex";
    await run;
    expect(pages.bodies).toHaveLength(2);
    expect(lastRun.value?.state).toBe("stopped");
  });

  test("is gone when its user signs out, also if it was running", async () => {
    const pages = new Pages(["a", "b"], 1);
    const run = startReplay(DRAFT, ALL);
    await expect.poll(() => pages.bodies.length).toBe(2);
    signOut();
    await run;
    expect(lastRun.value).toBeUndefined();
  });

  test("that fails says why, and keeps what it has found", async () => {
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("failed to fetch")));
    await startReplay(DRAFT, ALL);
    expect(lastRun.value).toMatchObject({ state: "failed", error: { code: "UNREACHABLE" } });
  });
});
