/** Random documents for tests that state a law, from a seed: each failure can be repeated. */
import type { Document, Entry } from "../../src/draft/document";

/** Returns a source of numbers from 0 to `below` - 1; the same for the same seed. */
export function numbers(seed: number): (below: number) => number {
  let state = seed * 2_654_435_761 + 1;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 4_294_967_296) * below);
  };
}

const LISTS = ["static_policies", "packs", "exceptions"];

/** Returns policies with few names and few values, so that two documents often overlap. */
export function document(number: (below: number) => number): Document {
  const result: Record<string, Entry | Entry[]> = {};
  for (const section of LISTS) {
    const names = ["a", "b", "c", "d"].filter(() => number(2) === 0);
    if (number(4) > 0) result[section] = names.map((name) => entry(number, { name }));
  }
  if (number(2) === 0) result["chain"] = entry(number, {});
  return result;
}

function entry(number: (below: number) => number, start: Entry): Entry {
  const fields = ["action", "pattern", "rules"].filter(() => number(2) === 0);
  return { ...start, ...Object.fromEntries(fields.map((field) => [field, [number(3)]])) };
}
