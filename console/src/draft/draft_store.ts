/**
 * The draft: changes of policies that are collected before they are applied together.
 *
 * There is at most one draft of a tenant. It lives in this tab: in memory, and in the session
 * storage, so that reloading the page keeps it. The storage has no secrets: the server writes
 * references in place of the URLs of webhooks, and a URL that the user types is not stored.
 */
import { computed } from "@preact/signals";
import type { BodyOf } from "../api/types";
import { api, identity, tenant } from "../session";
import {
  allChanges,
  type Document,
  type Entry,
  entriesOf,
  findEntry,
  isObject,
  sectionsThatDiffer,
  withEntries,
  withEntry,
  withoutEntry,
} from "./document";
import { kept } from "./kept";
import { withRenamed } from "./references";
import { isSingle } from "./sections";
import { withoutWebhooks } from "./webhooks";

export interface Draft {
  /** What the change is for; it becomes the summary in the change log. */
  readonly name: string;
  readonly tenant: string;
  /** The revision of the policies in `base`. */
  readonly baseRevision: number;
  /** The policies that the draft started from. */
  readonly base: Document;
  /** The policies with the changes of the draft. */
  readonly edited: Document;
}

/** The policies of a draft as an overlay of Simulate and Replay. */
export type DraftOverlay = NonNullable<BodyOf<"Replay">["overlay"]>;

type Drafts = Readonly<Record<string, Draft>>;

const NONE: Drafts = {};
const drafts = kept("pdp.draft", NONE, read, (all) => Object.values(all).map(compacted));

/** The tenant that calls are for; the tenant of the credential if there is only one. */
export const currentTenant = computed(() => identity.value?.tenant_id || tenant.value || "default");

/** The draft of the current tenant; undefined if there is none. */
export const draft = computed<Draft | undefined>(() => drafts.value.value[currentTenant.value]);

/** What the draft of the current tenant changes, policy by policy. */
export const draftChanges = computed(() =>
  draft.value === undefined ? [] : allChanges(draft.value.base, draft.value.edited),
);

/** False if the draft is too large for the session storage: reloading the page loses it. */
export const draftIsStored = drafts.isStored;

/** Returns the draft of the current tenant, for code that is not shown. */
export function currentDraft(): Draft | undefined {
  return draft.peek();
}

/**
 * Starts a draft from the policies in force. Returns the present draft if there is one.
 *
 * @param revision an earlier revision, whose policies become the changes of the draft
 * @throws ApiError if the policies cannot be exported
 */
export async function startDraft(name = "", revision = 0): Promise<Draft> {
  const present = draft.peek();
  if (present !== undefined) return present;
  const key = currentTenant.peek();
  // Both calls are made at once, so that they are for the same tenant.
  const [now, then] = await Promise.all([
    exportPolicies(),
    revision === 0 ? undefined : exportPolicies(revision),
  ]);
  const base = now.document;
  const edited = then === undefined ? base : completed(base, then.document);
  const started = { name, tenant: key, baseRevision: now.revision, base, edited };
  put(started);
  return started;
}

/** Returns the policies in force, or those of an earlier revision. */
export async function exportPolicies(
  revision = 0,
): Promise<{ document: Document; revision: number }> {
  const query = revision === 0 ? {} : { revision };
  const file = await api.call("ExportPolicyFile", { query });
  return { document: (file.policies ?? {}) as Document, revision: file.revision };
}

/**
 * Adds an entry to the draft, in place of the entry with the same name.
 *
 * In a section with one entry, fields that are not given stay; the packs of a chain are a field.
 */
export function putEntry(section: string, entry: Entry): void {
  const present = isSingle(section) ? entriesOf(need().edited, section)[0] : undefined;
  edit((edited) => withEntry(edited, section, { ...present, ...entry }));
}

/**
 * Puts an entry exactly as it is in place of the entry `name`. If that renames it, what refers to
 * it gets the new name too.
 */
export function replaceEntry(section: string, name: string, entry: Entry): void {
  edit((edited) => withRenamed(edited, section, name, entry));
}

/** Removes an entry; in a section with one entry, the name is empty. */
export function removeEntry(section: string, name: string): void {
  edit((edited) => withoutEntry(edited, section, name));
}

/** Makes an entry as it was when the draft started. */
export function undoEntry(section: string, name: string): void {
  const before = findEntry(need().base, section, name);
  if (before === undefined) removeEntry(section, name);
  else replaceEntry(section, name, before);
}

/** Puts other entries in place of those of some sections. */
export function replaceSections(sections: Document): void {
  edit((edited) =>
    Object.keys(sections).reduce(
      (result, key) => withEntries(result, key, entriesOf(sections, key)),
      edited,
    ),
  );
}

export function nameDraft(name: string): void {
  put({ ...need(), name });
}

/** Puts another draft in place of the present one: after its changes were moved to a newer base. */
export function replaceDraft(next: Draft): void {
  put(next);
}

/** Throws the draft away. */
export function discardDraft(of = currentTenant.peek()): void {
  const { [of]: _gone, ...rest } = drafts.value.peek();
  drafts.set(Object.keys(rest).length === 0 ? NONE : rest);
}

/** Returns the keys of the sections that the draft changes. */
export function changedSections(of: Draft | undefined = draft.value): string[] {
  return of === undefined ? [] : sectionsThatDiffer(of.base, of.edited);
}

/** Returns the sections that a draft changes, complete: what an import with `replace` takes. */
export function touchedPolicies(of: Draft): Document {
  return Object.fromEntries(changedSections(of).map((key) => [key, of.edited[key] ?? []]));
}

/** Returns the changes of a draft, for `overlay` of Simulate and Replay. */
export function overlayOf(of: Draft): DraftOverlay {
  // The contract says "any object", which the generated types write as an object without members.
  return { policies: touchedPolicies(of) as Record<string, never>, policies_mode: "replace" };
}

/** Returns `target` with an empty list for each section that only `base` has. */
function completed(base: Document, target: Document): Document {
  const gone = Object.keys(base).filter((key) => target[key] === undefined);
  return { ...target, ...Object.fromEntries(gone.map((key) => [key, []])) };
}

function need(): Draft {
  const present = draft.peek();
  if (present === undefined) throw new Error("there is no draft");
  return present;
}

function edit(change: (edited: Document) => Document): void {
  const present = need();
  put({ ...present, edited: change(present.edited) });
}

function put(next: Draft): void {
  drafts.set({ ...drafts.value.peek(), [next.tenant]: next });
}

/** Returns what is stored of a draft: not the sections that it does not change, and no secret. */
function compacted(one: Draft): Draft {
  return { ...one, edited: withoutWebhooks(touchedPolicies(one)) };
}

function read(stored: unknown): Drafts {
  const list = Array.isArray(stored) ? stored.filter(isDraft) : [];
  return Object.fromEntries(
    list.map((one) => [one.tenant, { ...one, edited: { ...one.base, ...one.edited } }]),
  );
}

function isDraft(value: unknown): value is Draft {
  return (
    isObject(value) &&
    typeof value["name"] === "string" &&
    typeof value["tenant"] === "string" &&
    typeof value["baseRevision"] === "number" &&
    isObject(value["base"]) &&
    isObject(value["edited"])
  );
}
