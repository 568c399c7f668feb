/** From entities to the values of forms, and from changed values to what an update sends. */
import type { Values } from "./fields";
import { choicesOf, type Schema, type SchemaReader, typeOf } from "./schema";

/** Returns whether a value says nothing: forms show such fields as not set. */
export function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === "") return true;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === "object" && Object.keys(value).length === 0;
}

/** Returns the fields of an entity that a form has, without empty ones. */
export function formValues(source: Values, schema: Schema, hidden: readonly string[] = []): Values {
  const names = Object.keys(schema.properties ?? {});
  return Object.fromEntries(
    names
      .filter((name) => name !== "warnings" && !hidden.includes(name) && !isEmpty(source[name]))
      .map((name) => [name, source[name]]),
  );
}

/** Returns whether two values are equal as JSON, in any order of their members. */
export function equal(one: unknown, other: unknown): boolean {
  if (isEmpty(one) && isEmpty(other)) return true;
  return canonical(one) === canonical(other);
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    typeof member === "object" && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}

/** Returns the names of the fields that differ. */
export function changedNames(before: Values, after: Values): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].filter((name) => !equal(before[name], after[name]));
}

/** How an update takes its fields. */
export interface UpdateRules {
  /** Whether an update replaces all fields, also those that it does not send. */
  readonly whole?: boolean;
  /** Whether null clears a field. */
  readonly nullClears?: boolean;
}

/**
 * Returns the body of an update: the whole form, or only the fields that differ. A field that the
 * user has emptied is sent as what clears it.
 */
export function updateBody(
  rules: UpdateRules,
  schema: Schema,
  reader: SchemaReader,
  before: Values,
  after: Values,
): Values {
  if (rules.whole === true) return after;
  return Object.fromEntries(
    changedNames(before, after).map((name) => {
      const property = schema.properties?.[name] ?? {};
      const value = after[name];
      if (!isEmpty(value)) return [name, value];
      return [name, rules.nullClears === true ? null : clearing(reader.resolve(property))];
    }),
  );
}

/** Returns the value that clears a field. */
function clearing(schema: Schema): unknown {
  const type = typeOf(schema);
  if (type === "array") return [];
  if (type === "object") return {};
  // A choice is cleared by the empty word, if that is one of its words.
  const empties = choicesOf(schema).length === 0 || (schema.enum ?? []).includes("");
  return type === "string" && empties ? "" : null;
}
