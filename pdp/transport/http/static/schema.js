// Shows JSON Schemas as lists of fields. Nested fields are built when the user opens them.
import { el, prose, withoutName } from "./dom.js";

export function resolver(document) {
  return (value) => {
    while (value?.$ref) {
      const { $ref, ...rest } = value;
      const target = $ref.slice(2).split("/").reduce((node, step) => node[step], document);
      value = { ...target, ...rest };
    }
    return value;
  };
}

// Returns the schema without null, and whether null is allowed.
function withoutNull(schema, resolve) {
  schema = resolve(schema);
  let nullable = false;
  if (schema.anyOf) {
    const others = schema.anyOf.filter((each) => each.type !== "null");
    nullable = others.length < schema.anyOf.length;
    const { anyOf, ...rest } = schema;
    schema = { ...resolve(others[0]), ...rest };
  }
  if (Array.isArray(schema.type)) {
    nullable = schema.type.includes("null");
    schema = { ...schema, type: schema.type.find((each) => each !== "null") };
  }
  return [schema, nullable];
}

function typeName(schema, resolve) {
  if (schema.type === "array") {
    const [items] = withoutNull(schema.items ?? {}, resolve);
    return `list of ${typeName(items, resolve)}s`;
  }
  if (schema.format === "date-time") return "time";
  if (schema.type === "object" && !schema.properties) return "JSON object";
  return schema.type ?? "any JSON";
}

function bounds(schema) {
  const words = [];
  const list = schema.enum?.filter((each) => each !== null && each !== "");
  if (list) words.push(`one of ${list.join(", ")}`);
  if (schema.minLength > 1) words.push(`at least ${schema.minLength} characters`);
  if (schema.maxLength) words.push(`at most ${schema.maxLength.toLocaleString("en")} characters`);
  if (schema.pattern === "[^\\t\\n\\f\\r ]") words.push("not blank");
  else if (schema.pattern) words.push(`matches ${schema.pattern.replace(/^\^\$\|/, "")}`);
  if (schema.minimum > -2147483648) words.push(`at least ${schema.minimum}`);
  if (schema.maximum < 2147483647) words.push(`at most ${schema.maximum}`);
  if (schema.minItems) words.push("not empty");
  if (schema.maxItems) words.push(`at most ${schema.maxItems.toLocaleString("en")} entries`);
  return words.join(" · ");
}

// `isRequest` marks the schema of a request, in which null and absent are the same.
export function fields(schema, resolve, isRequest) {
  const [object] = withoutNull(schema, resolve);
  const required = new Set(object.required);
  const rows = Object.entries(object.properties ?? {}).map(([name, property]) =>
    field(name, property, resolve, isRequest, required.has(name)));
  return el("ul", { class: "fields" }, rows);
}

export function field(name, property, resolve, isRequest, required) {
  const [schema, nullable] = withoutNull(property, resolve);
  const label = typeName(schema, resolve) + (nullable && !isRequest ? " or null" : "");
  const inner = schema.type === "array" ? withoutNull(schema.items ?? {}, resolve)[0] : schema;
  const limits = bounds(schema) || bounds(inner);
  return el("li", null,
    el("span", { class: "name" }, name),
    el("span", { class: "type" }, label),
    isRequest && required && el("span", { class: "must" }, "required"),
    !isRequest && !required && el("span", { class: "type" }, "not always present"),
    prose(withoutName(property.description ?? schema.description, name)),
    limits && el("div", { class: "bounds" }, limits),
    inner.properties && nested(inner, resolve, isRequest));
}

function nested(schema, resolve, isRequest) {
  const details = el("details", null, el("summary", null, "fields"));
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) {
      details.append(fields(schema, resolve, isRequest));
    }
  });
  return details;
}
