/** Values that are shown and not edited. */
import type { ComponentChildren } from "preact";
import type { Suggestions } from "../../forms/fields";
import { isEmpty } from "../../forms/values";
import { integer, time, words } from "../../ui/format";
import { Badge } from "../../ui/outcome";
import { nameOf } from "./references";
import type { CellKind, ColumnSpec, Entity } from "./types";

/** The risk level that has the colour of a state. */
const TONES: Readonly<Record<string, string>> = {
  active: "low",
  proposed: "medium",
  waiting: "medium",
};

/** A value of a table or of a list of facts. */
export function cell(value: unknown, kind: CellKind = "text"): ComponentChildren {
  if (typeof value === "boolean") return value ? "Yes" : "No";
  if (isEmpty(value)) return "–";
  switch (kind) {
    case "badge":
      return <Badge value={TONES[String(value)] ?? String(value)} label={String(value)} />;
    case "time":
      return time(String(value));
    case "code":
      return <code>{shown(value)}</code>;
    case "count":
      return typeof value === "number" ? integer(value) : shown(value);
    default:
      return shown(value);
  }
}

/** Returns a value in words: lists with commas, objects as `place: action`. */
export function shown(value: unknown): string {
  if (Array.isArray(value)) return value.map(shown).join(", ");
  if (typeof value === "object" && value !== null) {
    return Object.entries(value)
      .map(([name, member]) => `${name}: ${shown(member)}`)
      .join("; ");
  }
  return String(value);
}

/** Facts about an entity; those without a value are left out. */
export function Facts({ entity, facts }: { entity: Entity; facts: readonly ColumnSpec[] }) {
  const present = facts.filter(({ field }) => !isEmpty(entity[field]));
  if (present.length === 0) return null;
  return (
    <dl class="facts">
      {present.map(({ field, label, kind }) => [
        <dt key={`${field} name`}>{label}</dt>,
        <dd key={field}>{cell(entity[field], kind)}</dd>,
      ])}
    </dl>
  );
}

const CODE = new Set(["pattern", "expression", "config_json"]);

/** The fields of an entity that cannot be changed. */
export function ReadOnlyFields({
  entity,
  names,
  suggestions,
}: {
  entity: Entity;
  names: readonly string[];
  suggestions: Suggestions;
}) {
  const present = names.filter((name) => !isEmpty(entity[name]));
  if (present.length === 0) return null;
  const named = (name: string) => {
    const value = entity[name];
    return Array.isArray(value)
      ? value.map((one) => (typeof one === "string" ? nameOf(suggestions, name, one) : one))
      : value;
  };
  return (
    <dl class="facts">
      {present.map((name) => [
        <dt key={`${name} name`}>{words(name)}</dt>,
        <dd key={name}>{cell(named(name), CODE.has(name) ? "code" : "text")}</dd>,
      ])}
    </dl>
  );
}
