/** Policies by section, as a policy file has them. Everything here returns new values. */
import { entryName, isSection, isSingle, SECTIONS } from "./sections";

/** One policy: its fields. */
export type Entry = Readonly<Record<string, unknown>>;

/**
 * The policies of a tenant by section: a list of entries; of a section with one entry, that entry.
 * An empty list means that the tenant has none.
 */
export type Document = Readonly<Record<string, Entry | readonly Entry[]>>;

export type Change = "added" | "changed" | "removed";

/** A policy that differs between two documents. */
export interface EntryChange {
  readonly change: Change;
  readonly section: string;
  readonly name: string;
  readonly before: Entry | undefined;
  readonly after: Entry | undefined;
}

/** Returns the entries of a section in order; of a section with one entry, a list of it. */
export function entriesOf(document: Document, section: string): readonly Entry[] {
  const value = document[section];
  if (value === undefined) return [];
  return isList(value) ? value : [value];
}

export function findEntry(document: Document, section: string, name: string): Entry | undefined {
  return entriesOf(document, section).find((entry) => entryName(section, entry) === name);
}

/** Returns a document with other entries in a section. Without entries, the section is empty. */
export function withEntries(
  document: Document,
  section: string,
  entries: readonly Entry[],
): Document {
  const [only] = entries;
  return { ...document, [section]: isSingle(section) && only !== undefined ? only : entries };
}

/**
 * Returns a document with an entry. It replaces the entry `name`, which it may
 * rename; if there is no such entry, it comes last.
 */
export function withEntry(
  document: Document,
  section: string,
  entry: Entry,
  name = entryName(section, entry),
): Document {
  const entries = entriesOf(document, section);
  const at = entries.findIndex((one) => entryName(section, one) === name);
  const next = at < 0 ? [...entries, entry] : entries.with(at, entry);
  return withEntries(document, section, next);
}

export function withoutEntry(document: Document, section: string, name: string): Document {
  const rest = entriesOf(document, section).filter((one) => entryName(section, one) !== name);
  return withEntries(document, section, rest);
}

/** Returns the keys of sections with policies that differ, in the order of a policy file. */
export function sectionsThatDiffer(before: Document, after: Document): string[] {
  const keys = SECTIONS.map(({ key }) => key);
  return keys.filter((key) => changesOf(before, after, key).length > 0);
}

/** Returns the policies of a section that differ: in the order of `after`, removed ones last. */
export function changesOf(before: Document, after: Document, section: string): EntryChange[] {
  if (before[section] === after[section]) return [];
  const old = byName(before, section);
  const now = byName(after, section);
  const changes: EntryChange[] = [];
  for (const [name, entry] of now) {
    const present = old.get(name);
    if (present === undefined) {
      changes.push({ change: "added", section, name, before: undefined, after: entry });
    } else if (!same(present, entry)) {
      changes.push({ change: "changed", section, name, before: present, after: entry });
    }
  }
  for (const [name, entry] of old) {
    if (now.has(name)) continue;
    changes.push({ change: "removed", section, name, before: entry, after: undefined });
  }
  return changes;
}

/** Returns all policies that differ, by section. */
export function allChanges(before: Document, after: Document): EntryChange[] {
  return SECTIONS.flatMap(({ key }) => changesOf(before, after, key));
}

/** Returns the entries of a section by name. */
export function byName(document: Document, section: string): Map<string, Entry> {
  return new Map(entriesOf(document, section).map((entry) => [entryName(section, entry), entry]));
}

/** Whether two JSON values are equal. The order of the members of objects does not count. */
export function same(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true;
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((item, index) => same(item, other[index]));
  }
  if (!isObject(one) || !isObject(other)) return false;
  const names = Object.keys(one);
  return (
    names.length === Object.keys(other).length &&
    names.every((name) => Object.hasOwn(other, name) && same(one[name], other[name]))
  );
}

/** A document, or why a JSON value is none. */
export type Reading =
  | { readonly document: Document; readonly problem?: never }
  | { readonly document?: never; readonly problem: string };

/** Reads the value of a section: an entry, or a list of entries with different names. */
export function readSection(section: string, value: unknown): Reading {
  const items: unknown = isObject(value) && isSingle(section) ? [value] : value;
  if (!Array.isArray(items)) return { problem: `${section} must be a list.` };
  const broken = items.findIndex((item) => !isObject(item));
  if (broken >= 0) return { problem: `${section}[${broken}] must be an object.` };
  const entries = items as Entry[];
  if (isSingle(section)) {
    // Each entry of a section with one policy changes what those before it leave.
    return { document: withEntries({}, section, entries.length > 1 ? [merged(entries)] : entries) };
  }
  const places = new Map<string, number>();
  for (const [index, entry] of entries.entries()) {
    const name = entryName(section, entry);
    const other = places.get(name);
    if (name === "") return { problem: `${section}[${index}] has no name.` };
    if (other !== undefined)
      return { problem: `${section}[${index}] has the name of ${section}[${other}]: ${name}` };
    places.set(name, index);
  }
  return { document: withEntries({}, section, entries) };
}

/** Reads a policy file in JSON: with or without `tenant` and `format` around its policies. */
export function readPolicyFile(text: string): Reading {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { problem: `This is not JSON: ${error instanceof Error ? error.message : ""}` };
  }
  if (!isObject(value)) return { problem: "A policy file is an object." };
  const policies = "policies" in value ? value["policies"] : value;
  if (!isObject(policies)) return { problem: "policies must be an object with sections." };
  let document: Document = {};
  for (const [key, section] of Object.entries(policies)) {
    if (!isSection(key)) return { problem: `${key} is not a section of a policy file.` };
    const reading = readSection(key, section);
    if (reading.document === undefined) return reading;
    document = { ...document, ...reading.document };
  }
  return { document };
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function merged(entries: readonly Entry[]): Entry {
  return Object.fromEntries(entries.flatMap((entry) => Object.entries(entry)));
}

function isList(value: Entry | readonly Entry[]): value is readonly Entry[] {
  return Array.isArray(value);
}
