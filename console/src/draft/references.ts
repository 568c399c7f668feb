/** Policies name each other. A policy that gets another name keeps what refers to it. */
import {
  type Document,
  type Entry,
  entriesOf,
  isObject,
  same,
  withEntries,
  withEntry,
} from "./document";
import { entryName } from "./sections";

type Rename = (name: string) => string;

/** For each section that others refer to: how entries of those sections are changed. */
const REFERRERS: Readonly<
  Record<string, Readonly<Record<string, (entry: Entry, rename: Rename) => Entry>>>
> = {
  static_policies: { exceptions: names("policies") },
  dlp: {
    compliance_bundles: names("rule_ids"),
    bundle_settings: names("rule_ids"),
    user_groups: rules,
    exceptions: names("dlp_rules"),
  },
  compliance_bundles: { user_groups: names("bundle_ids"), active_bundles: bundle },
  packs: { chain: packs, user_chains: packs, exceptions: packRules },
};

/** Returns a document with an entry in place of `name`; what refers to that gets the new name. */
export function withRenamed(
  document: Document,
  section: string,
  name: string,
  entry: Entry,
): Document {
  const renamed = withEntry(document, section, entry, name);
  const next = entryName(section, entry);
  return name === next ? renamed : withReferences(renamed, section, name, next);
}

/** Returns a document in which what refers to an entry of a section has its new name. */
function withReferences(
  document: Document,
  section: string,
  before: string,
  after: string,
): Document {
  const rename: Rename = (name) => (name === before ? after : name);
  let result = document;
  for (const [key, change] of Object.entries(REFERRERS[section] ?? {})) {
    const entries = entriesOf(document, key);
    const next = entries.map((entry) => change(entry, rename));
    if (!same(entries, next)) result = withEntries(result, key, next);
  }
  return result;
}

/** Returns what changes the names in a list of names. */
function names(field: string) {
  return (entry: Entry, rename: Rename): Entry => {
    const list = entry[field];
    return Array.isArray(list) ? { ...entry, [field]: list.map(renamed(rename)) } : entry;
  };
}

function rules(entry: Entry, rename: Rename): Entry {
  return withItems(entry, "dlp_rules", (item) => ({ ...item, ...field(item, "rule_id", rename) }));
}

function bundle(entry: Entry, rename: Rename): Entry {
  return { ...entry, ...field(entry, "bundle", rename) };
}

function packs(entry: Entry, rename: Rename): Entry {
  const change = (item: Entry) => ({ ...item, ...field(item, "pack", rename) });
  return names("packs")(withItems(entry, "packs", change), rename);
}

/** An exception names a rule of a pack as `Pack > Rule`. */
function packRules(entry: Entry, rename: Rename): Entry {
  return names("rules")(entry, (name) => {
    const at = name.lastIndexOf(" > ");
    return at < 0 ? name : rename(name.slice(0, at)) + name.slice(at);
  });
}

function withItems(entry: Entry, list: string, change: (item: Entry) => Entry): Entry {
  const items = entry[list];
  if (!Array.isArray(items)) return entry;
  return { ...entry, [list]: items.map((one: unknown) => (isObject(one) ? change(one) : one)) };
}

function field(entry: Entry, name: string, rename: Rename): Entry {
  const value = entry[name];
  return typeof value === "string" ? { [name]: rename(value) } : {};
}

function renamed(rename: Rename) {
  return (item: unknown) => (typeof item === "string" ? rename(item) : item);
}
