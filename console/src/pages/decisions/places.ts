/** Where in a redacted text the policies matched. The server counts places before redaction. */
import { layerName } from "../../model/layers";
import { REPLACEMENT, type Span } from "../../ui/highlight";
import type { DecisionRecord } from "./rows";

interface Range {
  readonly start: number;
  readonly end: number;
}

/** A redacted range of the text, and the range of its replacement. */
interface Redaction {
  readonly raw: Range;
  readonly shown: Range;
}

const IN_TEXT = /in the text, (\d+) to (\d+)/;

/**
 * Returns the places of the matches in the redacted text, in code points. It is empty if the
 * places before redaction and what is redacted do not fit together, so that no place is a guess.
 */
export function matchedSpans(record: DecisionRecord): Span[] {
  const text = record.redacted_text;
  if (text === null || record.payload_format) return [];
  const redactions = redactionsOf(record, text);
  if (redactions === undefined) return [];
  return record.matches.flatMap((match) => {
    const found = IN_TEXT.exec(match.reason);
    if (found === null) return [];
    const range = { start: Number(found[1]), end: Number(found[2]) };
    if (redactions.some(({ raw }) => overlap(raw, range))) return [];
    const shift = shiftAt(redactions, range.start);
    const title = `${layerName(match.layer)}: ${match.name || match.policy_id}`;
    return [{ start: range.start + shift, end: range.end + shift, title }];
  });
}

/** Returns the redactions in their order; undefined if the record does not say all of them. */
function redactionsOf(record: DecisionRecord, text: string): Redaction[] | undefined {
  const raw = mergedRanges(record);
  const shown = replacements(text);
  if (raw.length !== shown.length) return undefined;
  const redactions = raw.map((range, index) => ({ raw: range, shown: shown[index] ?? range }));
  const fits = redactions.every(
    ({ raw: { start }, shown: at }, index) =>
      start + shiftAt(redactions.slice(0, index), start) === at.start,
  );
  const length = [...text].length;
  const whole = record.text_length + shiftAt(redactions, record.text_length) === length;
  return fits && whole ? redactions : undefined;
}

/** By how much a place after some redactions has moved. */
function shiftAt(redactions: readonly Redaction[], place: number): number {
  return redactions
    .filter(({ raw }) => raw.end <= place)
    .reduce((sum, { raw, shown }) => sum + shown.end - shown.start - (raw.end - raw.start), 0);
}

/** Returns what was found or redacted in the text, without overlaps. */
function mergedRanges(record: DecisionRecord): Range[] {
  const found = record.entities.filter(({ path, in_key }) => path === null && !in_key);
  const redacted = record.obligations
    .flatMap(({ spans }) => spans ?? [])
    .filter(({ path }) => path === undefined);
  const ranges = [...found, ...redacted].map(({ start, end }) => ({ start, end }));
  const merged: Range[] = [];
  for (const range of ranges.sort((a, b) => a.start - b.start)) {
    const last = merged.at(-1);
    if (last === undefined || range.start >= last.end) merged.push(range);
    else merged[merged.length - 1] = { start: last.start, end: Math.max(last.end, range.end) };
  }
  return merged;
}

/** Returns the ranges of the replacements of redacted parts, in code points. */
function replacements(text: string): Range[] {
  let units = 0;
  let place = 0;
  return [...text.matchAll(REPLACEMENT)].map((match) => {
    place += [...text.slice(units, match.index)].length;
    units = match.index + match[0].length;
    const start = place;
    place += [...match[0]].length;
    return { start, end: place };
  });
}

function overlap(a: Range, b: Range): boolean {
  return a.start < b.end && b.start < a.end;
}
