/** Replaces spans in texts and in JSON documents. Offsets count Unicode code points. */

import { isJsonObject, stringifyJson, type JsonObject, type JsonValue } from "./json.js";

/** A range of code points. */
export interface Span {
  /** The JSON Pointer of the place in the arguments or the payload; undefined for the text. */
  readonly path?: string | undefined;
  /** The offset of the first code point. */
  readonly start: number;
  /** The offset after the last code point. */
  readonly end: number;
  /** The type of what was found, for instance `CREDIT_CARD`. */
  readonly entityType?: string;
  /** Whether the span is in the key of the member at `path`, and not in its value. */
  readonly inKey?: boolean;
}

/** Returns a text with its spans replaced. Spans that overlap are replaced as one. */
export function redactText(text: string, spans: readonly Span[], replacement: string): string {
  const merged = mergeSpans(spans);
  const offsets = utf16Offsets(text, merged);
  let result = "";
  let from = 0;
  for (const [start, end] of merged) {
    const [first, last] = [offsets.get(start) ?? text.length, offsets.get(end) ?? text.length];
    result += text.slice(from, first) + replacement;
    from = last;
  }
  return result + text.slice(from);
}

/**
 * Returns a copy of a JSON object with the spans of its strings, numbers and keys replaced.
 *
 * A number becomes the replacement as a whole. If an object already has the new key, `_2`, `_3`
 * and so on follow, so that no member is lost.
 *
 * @throws RangeError - a span is in a place that the object does not have.
 */
export function redactArguments(
  value: JsonObject,
  spans: readonly Span[],
  replacement: string,
): JsonObject {
  const places = new Map<string, Place>();
  for (const span of spans) {
    const path = span.path ?? "";
    const place = places.get(path) ?? { keys: [], values: [] };
    (span.inKey ? place.keys : place.values).push(span);
    places.set(path, place);
  }
  const redacted = redactValue(value, "", places, replacement);
  const [missing] = places.keys();
  if (missing !== undefined) throw new RangeError(`there is no ${missing} to redact`);
  return redacted as JsonObject;
}

interface Place {
  readonly keys: Span[];
  readonly values: Span[];
}

function redactValue(
  value: JsonValue,
  path: string,
  places: Map<string, Place>,
  replacement: string,
): JsonValue {
  const spans = places.get(path)?.values ?? [];
  if (spans.length && typeof value === "object" && value !== null) {
    throw new RangeError(`there is no text at ${path} to redact`);
  }
  places.delete(path);
  if (Array.isArray(value)) {
    const items: readonly JsonValue[] = value;
    return items.map((each, at) => {
      const place = `${path}/${at}`;
      if (places.get(place)?.keys.length) throw new RangeError(`there is no key at ${place}`);
      return redactValue(each, place, places, replacement);
    });
  }
  if (isJsonObject(value)) return redactMembers(value, path, places, replacement);
  if (spans.length === 0) return value;
  if (typeof value !== "string") return replacement;
  return redactText(value, spans, replacement);
}

function redactMembers(
  value: JsonObject,
  path: string,
  places: Map<string, Place>,
  replacement: string,
): JsonObject {
  const used = new Set(Object.keys(value));
  const members = Object.entries(value).map(([name, item]): [string, JsonValue] => {
    const place = `${path}/${escapePointer(name)}`;
    const spans = places.get(place)?.keys ?? [];
    const key = spans.length ? freeKey(redactText(name, spans, replacement), used) : name;
    return [key, redactValue(item ?? null, place, places, replacement)];
  });
  return Object.fromEntries(members);
}

/** Returns the key, or the key with a number if the object has it already. */
function freeKey(key: string, used: Set<string>): string {
  let free = key;
  for (let number = 2; used.has(free); number++) free = `${key}_${number}`;
  used.add(free);
  return free;
}

function escapePointer(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}

/** Returns the spans by their place, those that overlap as one. */
function mergeSpans(spans: readonly Span[]): [number, number][] {
  const merged: [number, number][] = [];
  const byPlace = spans
    .filter(({ start, end }) => start < end)
    .sort((one, other) => one.start - other.start);
  for (const { start, end } of byPlace) {
    const last = merged.at(-1);
    if (last && start < last[1]) last[1] = Math.max(last[1], end);
    else merged.push([Math.max(0, start), end]);
  }
  return merged;
}

/** Returns the UTF-16 offset of each end of a span that is in the text. */
function utf16Offsets(text: string, spans: readonly [number, number][]): Map<number, number> {
  const wanted = new Set(spans.flat());
  const offsets = new Map<number, number>();
  let unit = 0;
  let point = 0;
  for (const character of text) {
    if (wanted.has(point)) offsets.set(point, unit);
    unit += character.length;
    point++;
  }
  return offsets;
}

/** What replaces the value of a masked field. */
export const MASK = "[MASKED]";

/** Returns a JSON value in which the members with these names are masked, at any depth. */
export function maskFields(value: JsonValue, names: ReadonlySet<string>): JsonValue {
  if (Array.isArray(value)) {
    const items: readonly JsonValue[] = value;
    return items.map((each) => maskFields(each, names));
  }
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      name,
      names.has(name) ? MASK : maskFields(item ?? null, names),
    ]),
  );
}

/** Returns whether two JSON values are written alike. */
export function sameJson(one: JsonValue, other: JsonValue): boolean {
  return stringifyJson(one) === stringifyJson(other);
}
