/** Where matches in single lines are in the text of all lines. */
import { unitOffsets } from "../../ui/code_points";
import type { Mark } from "../../ui/editor";

/** A match, in code points of its line. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

export interface Line {
  readonly text: string;
  /** The offset of its beginning, in UTF-16 units. */
  readonly start: number;
}

/** Returns the lines of a text. */
export function linesOf(text: string): readonly Line[] {
  let start = 0;
  return text.split("\n").map((line) => {
    const result = { text: line, start };
    start += line.length + 1;
    return result;
  });
}

/** Returns the marks of the matches in the lines that are not empty, which were the samples. */
export function marksOf(
  lines: readonly Line[],
  ranges: readonly (readonly Range[])[],
): readonly Mark[] {
  const samples = lines.filter(({ text }) => text !== "");
  return samples.flatMap((line, index) => {
    const units = unitOffsets(line.text);
    return (ranges[index] ?? []).map(({ start, end }) => ({
      start: line.start + units(start),
      end: line.start + units(end),
      title: "The pattern matches",
    }));
  });
}
