/**
 * The merge of a draft with what others have changed meanwhile: three documents, entry by entry.
 */
import {
  byName,
  type Document,
  type Entry,
  isObject,
  same,
  withEntries,
} from "../../draft/document";
import { SECTIONS } from "../../draft/sections";

/** A policy that both sides have changed, each in another way. Undefined means that there is none. */
export interface Conflict {
  readonly section: string;
  readonly name: string;
  readonly base: Entry | undefined;
  readonly mine: Entry | undefined;
  readonly theirs: Entry | undefined;
  /** The entry with the changes of both, if they have changed different fields. */
  readonly both: Entry | undefined;
}

export type Side = "mine" | "theirs" | "both";

export interface Merge {
  /** The merged policies. A policy in conflict is as others have made it. */
  readonly document: Document;
  readonly conflicts: readonly Conflict[];
}

/** Returns the policies with the changes of both sides since `base`. */
export function merge(base: Document, mine: Document, theirs: Document): Merge {
  let document: Document = theirs;
  const conflicts: Conflict[] = [];
  for (const { key } of SECTIONS) {
    if (mine[key] === base[key] || mine[key] === theirs[key]) continue;
    const section = mergeSection(key, base, mine, theirs);
    document = withEntries(document, key, section.entries);
    conflicts.push(...section.conflicts);
  }
  return { document, conflicts };
}

/** Returns the merged policies with a decision for each conflict, by `conflictKey`. */
export function resolve(
  { document, conflicts }: Merge,
  sides: ReadonlyMap<string, Side>,
): Document {
  return conflicts.reduce((result, conflict) => {
    const { section, name } = conflict;
    const entries = byName(result, section);
    const chosen = conflict[sides.get(conflictKey(conflict)) ?? "theirs"];
    if (chosen === undefined) entries.delete(name);
    else entries.set(name, chosen);
    return withEntries(result, section, [...entries.values()]);
  }, document);
}

export function conflictKey({ section, name }: Pick<Conflict, "section" | "name">): string {
  return `${section}/${name}`;
}

function mergeSection(section: string, base: Document, mine: Document, theirs: Document) {
  const [old, own, other] = [base, mine, theirs].map((one) => byName(one, section)) as [
    Map<string, Entry>,
    Map<string, Entry>,
    Map<string, Entry>,
  ];
  // The order is theirs; what only the draft has follows in its own order.
  const names = new Set([...other.keys(), ...own.keys(), ...old.keys()]);
  const entries: Entry[] = [];
  const conflicts: Conflict[] = [];
  for (const name of names) {
    const [was, my, their] = [old.get(name), own.get(name), other.get(name)];
    const isMine = !same(my, was) && same(their, was);
    const kept = isMine ? my : their;
    if (kept !== undefined) entries.push(kept);
    if (same(my, was) || same(their, was) || same(my, their)) continue;
    const both = combined(was, my, their);
    conflicts.push({ section, name, base: was, mine: my, theirs: their, both });
  }
  return { entries, conflicts };
}

/** Returns an entry with the changes of both sides; undefined if both changed the same field. */
export function combined(
  base: Entry | undefined,
  mine: Entry | undefined,
  theirs: Entry | undefined,
): Entry | undefined {
  if (!isObject(base) || !isObject(mine) || !isObject(theirs)) return undefined;
  const result: Record<string, unknown> = {};
  // The order of the fields is that of their side, so that merging nothing changes nothing.
  for (const field of new Set([...Object.keys(theirs), ...Object.keys(mine)])) {
    const [was, my, their] = [base[field], mine[field], theirs[field]];
    const isMine = same(their, was);
    if (!isMine && !same(my, was) && !same(my, their)) return undefined;
    const value = isMine ? my : their;
    if (value !== undefined) result[field] = value;
  }
  return result;
}
