/** Where a decision found something in a request. */
import type { Schemas } from "../../api/types";
import type { Mark } from "../../ui/editor";
import { words } from "../../ui/format";
import type { Span } from "../../ui/highlight";
import { JsonSource } from "./json_source";

type Decision = Schemas["DecideResponse"];

export interface Place {
  /** The JSON Pointer of the string in the arguments or the payload; undefined for the text. */
  readonly pointer: string | undefined;
  /** The JSON Pointer within that string, if it holds JSON. */
  readonly inner: string | undefined;
  readonly inKey: boolean;
  /** Code points. */
  readonly start: number;
  readonly end: number;
  readonly title: string;
}

/** The end of the reason of a match that has a place; see `Match.reason` of the contract. */
const LOCATION =
  /\b(the key of )?(?:the text|arguments at (.*)), (\d+) to (\d+)(?:, at confidence [\d.e-]+)?(?:, as the request says)?$/s;

/** Returns the places of the matches and of what is to be redacted. */
export function placesOf(decision: Decision): Place[] {
  const matches = decision.matches.flatMap((match) => {
    const found = LOCATION.exec(match.reason);
    if (found === null) return [];
    const [, key, path, start, end] = found;
    const pointer = match.pointer ?? path;
    return [
      {
        pointer,
        inner: match.pointer === undefined ? undefined : path,
        inKey: key !== undefined,
        start: Number(start),
        end: Number(end),
        title: match.name === "" ? match.policy_id : match.name,
      },
    ];
  });
  const redactions = decision.obligations.flatMap(({ type, spans }) =>
    (spans ?? []).map((span) => ({
      pointer: span.path,
      inner: undefined,
      inKey: span.in_key,
      start: span.start,
      end: span.end,
      title: `${words(type)}: ${span.entity_type}`,
    })),
  );
  return [...matches, ...redactions];
}

/** Returns the places in the text, for one that is not JSON. */
export function textSpans(places: readonly Place[]): Span[] {
  return places.filter(({ pointer }) => pointer === undefined || pointer === "");
}

/** Returns the marks in the source of a JSON document. A place that is not in it has none. */
export function jsonMarks(source: JsonSource, places: readonly Place[]): Mark[] {
  return merged(
    places.flatMap((place) => {
      const range = rangeOf(source, place);
      return range === undefined ? [] : [{ ...range, title: place.title }];
    }),
  );
}

function rangeOf(source: JsonSource, place: Place) {
  const { pointer, inner, inKey, start, end } = place;
  if (pointer === undefined) return undefined;
  const direct = source.range(pointer + (inner ?? ""), inKey);
  if (direct !== undefined) return source.part(direct, start, end);
  const outer = source.range(pointer, false);
  if (outer === undefined || inner === undefined) return undefined;
  const text = decoded(source, outer);
  const nested = text === undefined ? undefined : JsonSource.of(text);
  const range = nested?.range(inner, inKey);
  if (text === undefined || nested === undefined || range === undefined) return undefined;
  const part = nested.part(range, start, end);
  const points = (units: number) => [...text.slice(0, units)].length;
  return source.part(outer, points(part.start), points(part.end));
}

function decoded(source: JsonSource, { start, end }: { start: number; end: number }) {
  try {
    const value: unknown = JSON.parse(source.text.slice(start - 1, end + 1));
    return typeof value === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}

/** One mark for each range, with the titles of all that are there. */
function merged(marks: readonly Mark[]): Mark[] {
  const ranges = new Map<string, Mark>();
  for (const mark of marks) {
    const key = `${mark.start}-${mark.end}`;
    const other = ranges.get(key);
    const title = [...new Set([...(other?.title.split(", ") ?? []), mark.title])].join(", ");
    ranges.set(key, { ...mark, title });
  }
  return [...ranges.values()];
}
