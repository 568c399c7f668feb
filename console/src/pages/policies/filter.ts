/** The filter of a list: a text over all columns, and facets. */
import { wordMatcher } from "../../ui/text_filter";
import { shown } from "./facts";
import type { Entity, Section } from "./types";

/** The chosen value of each facet; an empty one chooses all. */
export type Facets = Readonly<Record<string, string>>;

export interface Indexed {
  readonly row: Entity;
  /** Everything that can be searched, in lower case; it is made once for each row. */
  readonly text: string;
}

/** Returns the rows with their texts. */
export function haystacks(
  rows: readonly Entity[],
  section: Pick<Section, "columns" | "idField">,
): readonly Indexed[] {
  const fields = [section.idField, "description", ...section.columns.map(({ field }) => field)];
  return rows.map((row) => ({
    row,
    text: fields
      .map((field) => shown(row[field] ?? ""))
      .join("\n")
      .toLowerCase(),
  }));
}

/** Returns the rows that have all words of the text, and the chosen values. */
export function filtered(
  indexed: readonly Indexed[],
  text: string,
  chosen: Facets,
): readonly Entity[] {
  const matches = wordMatcher(text);
  const facets = Object.entries(chosen).filter(([, value]) => value !== "");
  return indexed
    .filter(
      ({ row, text: hay }) =>
        matches(hay) && facets.every(([field, value]) => facetValue(row[field]) === value),
    )
    .map(({ row }) => row);
}

/** Returns the values of a facet with how many rows have them, in alphabetical order. */
export function facetValues(
  rows: readonly Entity[],
  field: string,
): readonly (readonly [value: string, count: number])[] {
  const counts = new Map<string, number>();
  for (const row of rows) {
    const value = facetValue(row[field]);
    if (value !== "") counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
}

function facetValue(value: unknown): string {
  if (typeof value === "boolean") return value ? "yes" : "no";
  return shown(value ?? "");
}
