import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Applied } from "../../src/pages/draft/applied";
import type { Identity } from "../../src/session";

const IN_FORCE = {
  tenant: "acme",
  revision: 7,
  policies: {
    static_policies: [{ name: "Old", action: "log" }],
    org_policy: { mode: "monitor", logging_level: "full" },
    exceptions: [{ name: "E", policies: ["Old"] }],
  },
};

/** Loads the modules as a page does that is reloaded. */
async function load() {
  vi.resetModules();
  const session = await import("../../src/session");
  const store = await import("../../src/draft/draft_store");
  const signIn = (name: string) => {
    session.identity.value = { kind: "api_key", name, tenant_id: "acme" } as Identity;
  };
  return { session, store, signIn };
}

function serve(...answers: readonly object[]) {
  const left = [...answers];
  const fetched = vi.fn<typeof fetch>(() =>
    Promise.resolve(new Response(JSON.stringify(left.length > 1 ? left.shift() : left[0]))),
  );
  vi.stubGlobal("fetch", fetched);
  return fetched;
}

beforeEach(() => serve(IN_FORCE));
afterEach(() => {
  vi.unstubAllGlobals();
  sessionStorage.clear();
});

describe("a draft", () => {
  test("starts from the policies in force, and changes nothing at first", async () => {
    const { store, signIn } = await load();
    signIn("ann");
    expect(store.currentDraft()).toBeUndefined();
    const draft = await store.startDraft("Why");
    expect(draft).toMatchObject({ name: "Why", tenant: "acme", baseRevision: 7 });
    expect(store.changedSections()).toEqual([]);
    expect(store.overlayOf(draft)).toEqual({ policies: {}, policies_mode: "replace" });
    // A second start does not throw away what was collected.
    store.putEntry("limits", { scope: "user", subject_id: "ann", requests_per_minute: 1 });
    expect((await store.startDraft()).edited["limits"]).toHaveLength(1);
  });

  test("has an overlay of the sections that it changes, complete", async () => {
    const { store, signIn } = await load();
    signIn("ann");
    await store.startDraft();
    store.putEntry("static_policies", { name: "New", action: "block" });
    store.removeEntry("exceptions", "E");
    const draft = store.currentDraft();
    expect(draft && store.overlayOf(draft).policies).toEqual({
      static_policies: [
        { name: "Old", action: "log" },
        { name: "New", action: "block" },
      ],
      exceptions: [],
    });
    expect(store.draftChanges.value.map(({ name, change }) => [name, change])).toEqual([
      ["New", "added"],
      ["E", "removed"],
    ]);
  });

  test("keeps the fields of a section with one policy that are not given", async () => {
    const { store, signIn } = await load();
    signIn("ann");
    await store.startDraft();
    store.putEntry("org_policy", { mode: "enforce" });
    expect(store.currentDraft()?.edited["org_policy"]).toEqual({
      mode: "enforce",
      logging_level: "full",
    });
    store.removeEntry("org_policy", "");
    expect(store.currentDraft()?.edited["org_policy"]).toEqual([]);
    store.undoEntry("org_policy", "");
    expect(store.changedSections()).toEqual([]);
  });

  test("undoes an added, a changed and a removed policy", async () => {
    const { store, signIn } = await load();
    signIn("ann");
    await store.startDraft();
    store.putEntry("static_policies", { name: "New" });
    store.replaceEntry("static_policies", "Old", { name: "Old", action: "warn" });
    store.removeEntry("exceptions", "E");
    store.undoEntry("static_policies", "New");
    store.undoEntry("static_policies", "Old");
    store.undoEntry("exceptions", "E");
    expect(store.changedSections()).toEqual([]);
  });

  test("can be an earlier revision: what it did not have is removed", async () => {
    const earlier = { ...IN_FORCE, revision: 3, policies: { limits: [] } };
    const fetched = serve(IN_FORCE, earlier);
    const { store, signIn } = await load();
    signIn("ann");
    const draft = await store.startDraft("Back", 3);
    expect(fetched.mock.calls.map(([url]) => url)).toEqual([
      "/v1/policy-file",
      "/v1/policy-file?revision=3",
    ]);
    expect(draft.baseRevision).toBe(7);
    expect(store.touchedPolicies(draft)).toEqual({
      static_policies: [],
      org_policy: [],
      exceptions: [],
    });
  });

  test("cannot be changed before it is started", async () => {
    const { store, signIn } = await load();
    signIn("ann");
    expect(() => store.putEntry("limits", {})).toThrow("there is no draft");
  });
});

describe("the tab keeps a draft", () => {
  test("when the page is reloaded, for the same user only", async () => {
    const first = await load();
    first.signIn("ann");
    await first.store.startDraft("Mine");
    first.store.putEntry("static_policies", { name: "New" });

    const again = await load();
    again.signIn("ann");
    expect(again.store.currentDraft()).toEqual(first.store.currentDraft());

    const other = await load();
    other.signIn("bob");
    expect(other.store.currentDraft()).toBeUndefined();
  });

  test("when the session ends by itself, until another user signs in", async () => {
    const { session, store, signIn } = await load();
    signIn("ann");
    await store.startDraft("Mine");
    session.signOut();
    expect(sessionStorage.getItem("pdp.draft")).toBeNull();
    signIn("ann");
    expect(store.currentDraft()?.name).toBe("Mine");
    expect(sessionStorage.getItem("pdp.draft")).toContain("Mine");
    session.signOut();
    signIn("bob");
    expect(store.currentDraft()).toBeUndefined();
    signIn("ann");
    expect(store.currentDraft()).toBeUndefined();
  });

  test("for each tenant one", async () => {
    const { session, store } = await load();
    session.identity.value = { kind: "api_key", name: "ann", tenant_id: "" } as Identity;
    session.tenant.value = "acme";
    await store.startDraft("Of acme");
    session.tenant.value = "globex";
    expect(store.currentDraft()).toBeUndefined();
    await store.startDraft("Of globex");
    store.discardDraft();
    session.tenant.value = "acme";
    expect(store.currentDraft()?.name).toBe("Of acme");
    store.discardDraft();
    expect(sessionStorage.getItem("pdp.draft")).toBeNull();
  });

  test.each(["{", "[]", '{"owner": "api_key ann", "value": [1, {"tenant": "acme"}]}'])(
    "and starts empty if the storage has %s",
    async (text) => {
      sessionStorage.setItem("pdp.draft", text);
      const { store, signIn } = await load();
      signIn("ann");
      expect(store.currentDraft()).toBeUndefined();
    },
  );

  test("without the URL of a webhook that the user typed; references are no secrets", async () => {
    const rule = (name: string, slack_webhook_url: string) => ({
      name,
      notify: { slack_webhook_url },
    });
    const { store, signIn } = await load();
    signIn("ann");
    await store.startDraft();
    const alert_rules = [rule("a", "https://hooks.slack.test/T0/secret"), rule("b", "${ALERT_B}")];
    store.putEntry("org_policy", { alert_rules });
    expect(store.currentDraft()?.edited["org_policy"]).toMatchObject({ alert_rules });
    const stored = sessionStorage.getItem("pdp.draft");
    expect(stored).not.toContain("secret");
    expect(stored).toContain("${ALERT_B}");
  });

  test("in memory at least, and says so, if it is too large for the storage", async () => {
    const { store, signIn } = await load();
    signIn("ann");
    await store.startDraft("Small");
    const setItem = () => {
      throw new DOMException("full", "QuotaExceededError");
    };
    const removeItem = vi.fn();
    vi.stubGlobal("sessionStorage", { setItem, removeItem });
    store.nameDraft("Large");
    expect(store.currentDraft()?.name).toBe("Large");
    expect(store.draftIsStored.value).toBe(false);
    // What was stored is older than the draft.
    expect(removeItem).toHaveBeenCalledWith("pdp.draft");
    vi.unstubAllGlobals();
    store.nameDraft("Small again");
    expect(store.draftIsStored.value).toBe(true);
  });
});

describe("what was applied", () => {
  const change = (revision: number, rolledBackIn = 0): Applied => ({
    tenant: "acme",
    summary: "",
    revision,
    previousRevision: revision - 1,
    at: "",
    changes: [],
    warnings: [],
    rolledBackIn,
  });

  test("is taken back by a rollback to a revision before it, and comes back with it", async () => {
    const { withRollback } = await import("../../src/pages/draft/applied");
    const rollback = change(20);
    expect(withRollback(change(9), rollback, 8).rolledBackIn).toBe(20);
    expect(withRollback(change(8), rollback, 8).rolledBackIn).toBe(0);
    // Revision 12 had taken it back. At revision 8 it was in force.
    expect(withRollback(change(8, 12), rollback, 8).rolledBackIn).toBe(0);
    expect(withRollback(change(5, 7), rollback, 8).rolledBackIn).toBe(7);
    const foreign = { ...change(9), tenant: "globex" };
    expect(withRollback(foreign, rollback, 8)).toBe(foreign);
  });
});

describe("the revisions of a change log", () => {
  test("are its changes together", async () => {
    const { revisionsOf } = await import("../../src/pages/draft/revisions");
    const row = (revision: number, op: string, kind: string) => ({
      revision,
      op,
      kind,
      entity_id: "x",
      actor: "ann",
      at: null,
      summary: "",
      before: null,
      after: null,
    });
    const log = [
      row(9, "update", "dlp_rule"),
      row(9, "create", "limit"),
      row(9, "update", "dlp_rule"),
      row(8, "delete", "limit"),
    ];
    expect(revisionsOf(log).map(({ revision, what }) => [revision, what])).toEqual([
      [9, "2 × dlp rule changed, limit created"],
      [8, "limit deleted"],
    ]);
  });
});

describe("a period", () => {
  test("ends now, or is a whole day", async () => {
    const { periodOf } = await import("../../src/pages/draft/replay_run");
    const now = new Date(2026, 2, 1, 15, 30);
    expect(periodOf("hour", now)).toEqual({ since: new Date(2026, 2, 1, 14, 30), until: now });
    expect(periodOf("yesterday", now)).toEqual({
      since: new Date(2026, 1, 28),
      until: new Date(2026, 2, 1),
    });
    expect(now.getTime() - periodOf("week", now).since.getTime()).toBe(7 * 86_400_000);
  });
});
