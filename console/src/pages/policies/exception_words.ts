/** Exceptions in words, for lists. */
import type { Entity } from "./types";

const SUBJECTS = ["groups", "users", "agents", "customers"] as const;
const TARGETS = ["policies", "families", "dlp_rules", "entity_types", "rules"] as const;

/** What is counted, because lists have no names: one, and several. */
const NOUNS: Readonly<Record<string, readonly [one: string, several: string]>> = {
  policies: ["static policy", "static policies"],
  dlp_rules: ["DLP rule", "DLP rules"],
  rules: ["rule of a pack", "rules of packs"],
};

function list(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

/** Returns whether an exception is in force, and if not, why. */
export function standing(exception: Entity): string {
  if (exception["active"] === true) return "active";
  if (exception["state"] === "proposed") return "proposed";
  const until = Date.parse(String(exception["valid_until"] ?? ""));
  return !Number.isNaN(until) && until <= Date.now() ? "ended" : "waiting";
}

/** Returns the subjects of an exception. */
export function forWhom(exception: Entity): string {
  if (exception["everyone"] === true) return "everyone";
  const names = SUBJECTS.flatMap((field) => list(exception[field]));
  return names.length === 0 ? "all, for single values" : names.join(", ");
}

/** Returns what an exception lifts, by names; of ids, it says how many there are. */
export function whatItLifts(exception: Entity): string {
  const parts = TARGETS.flatMap((field) => {
    const values = list(exception[field]);
    const noun = NOUNS[field];
    if (values.length === 0) return [];
    if (noun === undefined) return values;
    return [`${values.length} ${values.length === 1 ? noun[0] : noun[1]}`];
  });
  const risk = exception["org_risk"] === true ? ["block by risk"] : [];
  return [...parts, ...risk].join(", ");
}
