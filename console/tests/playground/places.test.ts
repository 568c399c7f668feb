import { describe, expect, test } from "vitest";
import type { Schemas } from "../../src/api/types";
import { JsonSource } from "../../src/pages/playground/json_source";
import { jsonMarks, type Place, placesOf, textSpans } from "../../src/pages/playground/places";

type Decision = Schemas["DecideResponse"];

function decision(part: Partial<Decision>): Decision {
  return { matches: [], obligations: [], ...part } as unknown as Decision;
}

function match(reason: string, pointer?: string) {
  const rest = { layer: "dlp", policy_id: "p", name: "Card", action: "redact", severity: "high" };
  return { ...rest, reason, ...(pointer === undefined ? {} : { pointer }) };
}

function marked(text: string, places: readonly Place[]) {
  const source = JsonSource.of(text);
  if (source === undefined) throw new Error("no JSON");
  return jsonMarks(source, places).map(({ start, end, title }) => [text.slice(start, end), title]);
}

describe("where something was found", () => {
  test("in the text, from the reasons of matches and from obligations", () => {
    const places = placesOf(
      decision({
        matches: [
          match("pattern found in the text, 16 to 35"),
          match("EMAIL_ADDRESS found 2 times, first in the text, 3 to 9, at confidence 0.95"),
          match(
            "CARD found 1 time, first in the text, 1 to 2, at confidence 1, as the request says",
          ),
          match("the condition is true"),
        ],
        obligations: [
          {
            type: "REDACT",
            spans: [{ start: 16, end: 35, entity_type: "CREDIT_CARD", in_key: false }],
          },
        ],
      }),
    );
    expect(textSpans(places).map(({ start, end }) => [start, end])).toEqual([
      [16, 35],
      [3, 9],
      [1, 2],
      [16, 35],
    ]);
    expect(places.at(-1)?.title).toBe("Redact: CREDIT_CARD");
  });

  test("in arguments, also in their keys and with commas in the path", () => {
    const places = placesOf(
      decision({
        matches: [
          match("pattern found in arguments at /body, 3 to 6"),
          match("pattern found in the key of arguments at /a, 0 to 1/x, 0 to 1"),
        ],
      }),
    );
    const text = '{"body": "my card", "a, 0 to 1": {"x": 1}}';
    expect(textSpans(places)).toEqual([]);
    expect(marked(text, places)).toEqual([
      ["car", "Card"],
      ["x", "Card"],
    ]);
  });

  test("in a payload: in a text, in arguments, and in arguments that are JSON in a string", () => {
    const args = JSON.stringify({ card: "é\n4111" });
    const text = JSON.stringify({
      messages: [{ content: "Pay 4111" }, { input: { card: "4111" } }, { arguments: args }],
    });
    const places = placesOf(
      decision({
        matches: [
          match("pattern found in the text, 4 to 8", "/messages/0/content"),
          match("pattern found in arguments at /card, 0 to 4", "/messages/1/input"),
          match("pattern found in arguments at /card, 2 to 6", "/messages/2/arguments"),
        ],
      }),
    );
    expect(marked(text, places)).toEqual([
      ["4111", "Card"],
      ["4111", "Card"],
      ["4111", "Card"],
    ]);
  });

  test("several findings at one place are one mark; places that are not there have none", () => {
    const place = { pointer: "/t", inner: undefined, inKey: false, start: 0, end: 2 };
    expect(
      marked('{"t": "abc"}', [
        { ...place, title: "One" },
        { ...place, title: "Two" },
        { ...place, title: "Two" },
        { ...place, pointer: "/gone", title: "Three" },
      ]),
    ).toEqual([["ab", "One, Two"]]);
  });
});
