/** JSON with exact integers: those that a number would change are bigints. */

/** A JSON value. Integers above 2^53 are exact as bigints. */
export type JsonValue =
  | string
  | number
  | boolean
  | bigint
  | null
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue | undefined };

/** A JSON object; members that are undefined are left out. */
export type JsonObject = { readonly [name: string]: JsonValue | undefined };

/** The deepest nesting that is written and read. The server takes 32 levels. */
const MAX_DEPTH = 128;

/**
 * Returns a value as JSON text. Bigints are written as integers.
 *
 * @throws TypeError - the value is nested too deep, or has a number that JSON does not have.
 */
export function stringifyJson(value: unknown, depth = 0): string {
  if (depth > MAX_DEPTH) throw new TypeError("the value is nested too deep");
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "number" && !Number.isFinite(value)) {
    throw new TypeError(`JSON has no number ${value}`);
  }
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  if (Array.isArray(value)) {
    return `[${value.map((each) => stringifyJson(each, depth + 1)).join(",")}]`;
  }
  if (hasToJson(value)) return stringifyJson(value.toJSON(), depth + 1);
  const members = Object.entries(value)
    .filter(([, each]) => each !== undefined && typeof each !== "function")
    .map(([name, each]) => `${JSON.stringify(name)}:${stringifyJson(each, depth + 1)}`);
  return `{${members.join(",")}}`;
}

function hasToJson(value: object): value is { toJSON(): unknown } {
  return "toJSON" in value && typeof value.toJSON === "function";
}

/**
 * Returns the value of a JSON text. Integers that a number would change are bigints.
 *
 * @throws SyntaxError - the text is not JSON, or nested too deep.
 */
export function parseJson(text: string): JsonValue {
  const value = JSON.parse(text) as JsonValue;
  // Only a run of 16 digits can be an integer above 2^53.
  return /\d{16}/.test(text) ? new ExactParser(text).parse() : value;
}

/** Returns whether a value is a JSON object. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Reads a text that `JSON.parse` has accepted. */
class ExactParser {
  #at = 0;

  constructor(private readonly text: string) {}

  parse(): JsonValue {
    return this.#value(0);
  }

  #value(depth: number): JsonValue {
    if (depth > MAX_DEPTH) throw new SyntaxError("the text is nested too deep");
    switch (this.#peek()) {
      case "{":
        return Object.fromEntries(this.#list("}", () => this.#member(depth)));
      case "[":
        return this.#list("]", () => this.#value(depth + 1));
      case '"':
        return this.#string();
      default:
        return this.#scalar();
    }
  }

  #member(depth: number): [string, JsonValue] {
    const name = this.#string();
    this.#peek();
    this.#at++; // the colon
    return [name, this.#value(depth + 1)];
  }

  #list<T>(end: string, item: () => T): T[] {
    const items: T[] = [];
    this.#at++;
    while (this.#peek() !== end) {
      if (this.#peek() === ",") this.#at++;
      items.push(item());
    }
    this.#at++;
    return items;
  }

  #string(): string {
    this.#peek();
    const start = this.#at++;
    while (this.text[this.#at] !== '"') this.#at += this.text[this.#at] === "\\" ? 2 : 1;
    this.#at++;
    return JSON.parse(this.text.slice(start, this.#at)) as string;
  }

  #scalar(): JsonValue {
    const token = /[^\s,\]}]*/y;
    token.lastIndex = this.#at;
    const text = token.exec(this.text)?.[0] ?? "";
    this.#at += text.length;
    const value = JSON.parse(text) as JsonValue;
    const isExact = Number.isSafeInteger(value) || String(value) === text;
    return /^-?\d+$/.test(text) && !isExact ? BigInt(text) : value;
  }

  /** Skips white space, and returns the next character. */
  #peek(): string {
    while (" \t\r\n".includes(this.text[this.#at] ?? "x")) this.#at++;
    return this.text[this.#at] ?? "";
  }
}
