import { expect, test } from "vitest";
import { href, parse } from "../src/router";

test.each([
  [["decisions"], {}],
  [["policies", "customer", "a/b?c#d %41 ü"], { q: "x&y=z", empty: "" }],
])("an address leads back to its parts %#", (parts, query) => {
  const location = parse(href(parts, query as Record<string, string>));
  expect(location.parts).toEqual(parts);
  const kept = Object.entries(query).filter(([, value]) => value !== "");
  expect(Object.fromEntries(location.query)).toEqual(Object.fromEntries(kept));
});

test("an address with a broken escape is taken as it is", () => {
  expect(parse("#/decisions/%zz").parts).toEqual(["decisions", "%zz"]);
});

test("no fragment is the first page", () => {
  expect(parse("").parts).toEqual([]);
  expect(parse("#/").parts).toEqual([]);
});
