/** Schemas that are more precise than the contract: for objects that it leaves open. */
import type { Values } from "../../forms/fields";
import type { Schema } from "../../forms/schema";

/** The places where policies look, in the order in which they are shown. */
const PLACES: Readonly<Record<string, string>> = {
  text: "In the prompt.",
  output: "In the answer of the model.",
  arguments: "In the arguments of a tool.",
  tool_result: "In the result of a tool.",
  system: "In the system prompt.",
};

/** Returns a schema with other properties in place of its own. */
export function withProperties(
  schema: Schema,
  properties: Readonly<Record<string, Schema>>,
): Schema {
  return { ...schema, properties: { ...schema.properties, ...properties } };
}

/** Returns a property with its description, and the fields of the object that it is. */
export function objectOf(
  property: Schema | undefined,
  properties: Readonly<Record<string, Schema>>,
): Schema {
  const description = property?.description;
  return { type: "object", properties, ...(description === undefined ? {} : { description }) };
}

/** Returns `scope_actions` as one choice for each place. */
export function actionsByPlace(actions: readonly string[]): Schema {
  const places = Object.entries(PLACES).map(([place, description]): [string, Schema] => [
    place,
    { type: "string", enum: actions, description },
  ]);
  return objectOf({ description: "Other actions in single places." }, Object.fromEntries(places));
}

export function text(description: string, maxLength = 256): Schema {
  return { type: "string", description, maxLength };
}

export function texts(description: string): Schema {
  return { type: "array", items: { type: "string", maxLength: 256 }, description };
}

/** Returns a schema in which an object has only some of its fields, and requires some of them. */
export function narrowed(
  schema: Schema,
  name: string,
  fields: readonly string[],
  required: readonly string[] = [],
): Schema {
  const object = schema.properties?.[name] ?? {};
  const kept = Object.entries(object.properties ?? {}).filter(([field]) => fields.includes(field));
  return withProperties(schema, {
    [name]: { ...object, properties: Object.fromEntries(kept), required },
  });
}

/** Returns values in which an object has only some of its fields. */
export function withOnly(values: Values, name: string, fields: readonly string[]): Values {
  const object = values[name];
  if (typeof object !== "object" || object === null) return values;
  const kept = Object.entries(object).filter(([field]) => fields.includes(field));
  return { ...values, [name]: Object.fromEntries(kept) };
}
