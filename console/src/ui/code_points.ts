/** Offsets of the server count code points; strings of JavaScript count UTF-16 units. */

/** Returns a function that converts ascending or descending offsets of one text. */
export function unitOffsets(text: string): (codePoints: number) => number {
  const starts: number[] = [];
  let units = 0;
  let plain = true;
  for (const character of text) {
    starts.push(units);
    units += character.length;
    plain &&= character.length === 1;
  }
  if (plain) return (offset) => Math.min(offset, units);
  return (offset) => starts[offset] ?? units;
}
