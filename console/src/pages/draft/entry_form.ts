/** The form of an entry: its schema, and its values. */
import { type Entry, isObject } from "../../draft/document";
import { sectionOf } from "../../draft/sections";
import type { Contract } from "../../forms/contract";
import type { Schema } from "../../forms/schema";

const CHAINS: readonly string[] = ["chain", "user_chains"];

/** Returns the schema of the entries of a section: that of the request which writes them. */
export function schemaOf(contract: Contract, section: string): Schema {
  const { operation, nameField, extras = {}, omitted = [] } = sectionOf(section);
  const body = operation === undefined ? {} : contract.reader.resolve(contract.bodyOf(operation));
  const fields = Object.entries(body.properties ?? {}).filter(([name]) => !omitted.includes(name));
  const own = Object.fromEntries(fields);
  const named = nameField !== "" && own[nameField] === undefined;
  const required = [...(body.required ?? []), ...(nameField === "" ? [] : [nameField])];
  return {
    type: "object",
    properties: { ...(named ? { [nameField]: {} } : {}), ...own, ...extras },
    required: [...new Set(required)],
  };
}

/** Returns what a form shows of an entry: the packs of a chain as objects, which can be moved. */
export function valuesOf(section: string, entry: Entry): Entry {
  const packs = entry["packs"];
  if (!CHAINS.includes(section) || !Array.isArray(packs)) return entry;
  return { ...entry, packs: packs.map((one) => (typeof one === "string" ? { pack: one } : one)) };
}

/** Returns the entry that the values of a form stand for. */
export function entryOf(section: string, values: Entry): Entry {
  const packs = values["packs"];
  if (!CHAINS.includes(section) || !Array.isArray(packs)) return values;
  return { ...values, packs: packs.map(packOf) };
}

function packOf(item: unknown): unknown {
  if (!isObject(item) || Object.keys(item).some((name) => name !== "pack")) return item;
  return item["pack"] ?? "";
}

/** Returns what an entry says, in a line: its first plain fields besides its name. */
export function summaryOf(section: string, entry: Entry): string {
  const { nameField } = sectionOf(section);
  const parts: string[] = [];
  for (const [name, value] of Object.entries(entry)) {
    if (parts.length === 4) break;
    if (name === nameField || name === "description") continue;
    const shown = plain(value);
    if (shown !== "") parts.push(`${name.replaceAll("_", " ")}: ${shown}`);
  }
  return parts.join(" · ");
}

function plain(value: unknown): string {
  if (typeof value === "string") return value.length > 60 ? `${value.slice(0, 60)}…` : value;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return String(value);
  if (!Array.isArray(value)) return "";
  const texts = value.filter((item) => typeof item === "string");
  if (texts.length === 0) return value.length === 0 ? "none" : String(value.length);
  return texts.length > 3 ? `${texts.slice(0, 3).join(", ")}, …` : texts.join(", ");
}
