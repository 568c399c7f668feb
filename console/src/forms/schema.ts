/** The parts of JSON Schema that the contract uses, and how forms read them. */

export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly enum?: readonly (string | number | null)[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly format?: string;
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxItems?: number;
  readonly examples?: readonly unknown[];
}

export interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

/** What a field of a form is. */
export type Kind =
  | "text"
  | "long_text"
  | "pattern"
  | "condition"
  | "choice"
  | "choices"
  | "boolean"
  | "integer"
  | "number"
  | "time"
  | "strings"
  | "object"
  | "objects"
  | "json";

/** Reads schemas of one OpenAPI document. */
export class SchemaReader {
  constructor(private readonly document: OpenApi) {}

  /** Returns a schema of the document by name. */
  named(name: string): Schema {
    const schema = this.document.components.schemas[name];
    if (schema === undefined) throw new Error(`the contract has no schema ${name}`);
    return schema;
  }

  /** Returns a schema without references, and without the alternative null. */
  resolve(schema: Schema): Schema {
    const { $ref, anyOf, ...rest } = schema;
    if ($ref !== undefined) {
      const target = this.resolve(this.named($ref.slice($ref.lastIndexOf("/") + 1)));
      return { ...target, ...rest };
    }
    const real = anyOf?.filter((one) => one.type !== "null");
    if (real?.length === 1 && real[0] !== undefined) return { ...this.resolve(real[0]), ...rest };
    return schema;
  }

  /** Returns what kind of field a property is shown as. */
  kind(name: string, property: Schema): Kind {
    const schema = this.resolve(property);
    const type = typeOf(schema);
    if (choicesOf(schema).length > 0) return "choice";
    if (type === "array") return this.arrayKind(schema);
    if (type === "object") return schema.properties === undefined ? "json" : "object";
    if (type === "boolean" || type === "integer" || type === "number") return type;
    if (type !== "string") return "json";
    if (schema.format === "date-time") return "time";
    if (name === "expression") return "condition";
    if (name === "pattern" || name === "regex") return "pattern";
    return (schema.maxLength ?? 0) > 512 ? "long_text" : "text";
  }

  private arrayKind(schema: Schema): Kind {
    const items = this.resolve(schema.items ?? {});
    if (choicesOf(items).length > 0) return "choices";
    if (typeOf(items) === "string") return "strings";
    return items.properties === undefined ? "json" : "objects";
  }
}

/** Returns the type of a schema besides null; empty if it has several, or none. */
export function typeOf({ type }: Schema): string {
  if (typeof type === "string") return type;
  const types = (type ?? []).filter((one) => one !== "null");
  return types.length === 1 ? (types[0] ?? "") : "";
}

/** Returns the words that a value may be, without null and without the empty one. */
export function choicesOf(schema: Schema): string[] {
  return (schema.enum ?? []).filter((one) => one !== null && one !== "").map(String);
}

/**
 * Returns a description as help of its field: without the name of the field at its beginning, and
 * without references to other types of the contract.
 */
export function help(name: string, description: string | undefined): string {
  const text = (description ?? "").trim().replace(/; see `\w+`(?=\.|$)/g, "");
  const verbs = "is|are|has|says|holds|sets|names";
  const rest = text.replace(new RegExp(`^\`?${name}\`? (?:${verbs}) `), "");
  const plain = rest.replace(new RegExp(`^\`?${name}\`? `), "");
  return plain.charAt(0).toUpperCase() + plain.slice(1);
}
