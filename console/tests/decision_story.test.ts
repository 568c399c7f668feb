import { describe, expect, test } from "vitest";
import { matchedSpans } from "../src/pages/decisions/places";
import { decidingMatch, rowOf } from "../src/pages/decisions/rows";
import {
  findingsOf,
  headline,
  leavesOf,
  question,
  reason,
  storyOf,
} from "../src/pages/decisions/story";
import { recordOf } from "./records";

const match = (members: object) => ({ ...recordOf().matches[0]!, ...members });
const entity = (start: number, end: number, type = "EMAIL") => ({
  entity_type: type,
  category: "pii",
  detector_id: type.toLowerCase(),
  confidence: 0.9,
  start,
  end,
  path: null,
  in_key: false,
});

describe("the story of a decision", () => {
  test("says what happened, by which policy, and why", () => {
    const record = recordOf();
    expect(headline(record)).toBe("Blocked by the static policy “No rivals”");
    expect(reason(record)).toBe("Pattern found in the text, 4 to 9.");
    expect(question(record)).toBe("alice sent a prompt to openai/gpt-4o.");
  });

  test("has the layers in the order in which they are asked, and those that said nothing", () => {
    const record = recordOf({
      matches: [match({ layer: "dlp" }), match({ layer: "static" }), match({ layer: "new" })],
    });
    const story = storyOf(record);
    expect(story.chapters.map(({ layer }) => layer)).toEqual(["static", "dlp", "new"]);
    expect([story.silent, story.scan]).toEqual([["Customer policy"], "40 µs"]);
  });

  test("names as the reason no match that has no effect", () => {
    const record = recordOf({
      matches: [
        match({ name: "Monitored", would_be: "BLOCK" }),
        match({ name: "Excepted", excepted_by: "e1" }),
        match({ name: "Approved", approved_by: "a1" }),
        match({ name: "Logged", action: "log" }),
        match({ name: "Decides" }),
      ],
    });
    expect(decidingMatch(record)?.name).toBe("Decides");
    expect(rowOf(record).because).toBe("Decides +4");
  });

  test("of a decision without a match says so", () => {
    const record = recordOf({ outcome: "ALLOW", matches: [] });
    expect([headline(record), reason(record)]).toEqual(["Allowed", "No policy matched."]);
  });

  test("puts findings at one place together", () => {
    const findings = findingsOf(
      recordOf({ entities: [entity(3, 9, "A"), entity(3, 9, "B"), entity(12, 14, "A")] }),
    );
    expect(findings.map(({ types, start }) => [types.join(), start])).toEqual([
      ["A,B", 3],
      ["A", 12],
    ]);
  });

  test("shows a document value by value, with JSON Pointers", () => {
    expect(leavesOf({ "a/b~": [1, { c: null }], d: {}, e: [] })).toEqual([
      { path: "/a~1b~0/0", text: "1" },
      { path: "/a~1b~0/1/c", text: "null" },
      { path: "/d", text: "(empty)" },
      { path: "/e", text: "(empty list)" },
    ]);
  });
});

describe("places of matches in a redacted text", () => {
  const at = (record: ReturnType<typeof recordOf>) => {
    const text = [...(record.redacted_text ?? "")];
    return matchedSpans(record).map(({ start, end }) => text.slice(start, end).join(""));
  };
  const rival = (start: number) => [
    match({ reason: `pattern found in the text, ${start} to ${start + 5}` }),
  ];

  test("without redactions are the same", () => {
    expect(at(recordOf())).toEqual(["RIVAL"]);
  });

  test("move with the text before them, counted in code points", () => {
    // "😀 a@b.example and c@d.example RIVAL"
    const record = recordOf({
      redacted_text: "😀 [EMAIL] and [EMAIL_ADDRESS] RIVAL",
      text_length: 34,
      entities: [entity(2, 13), entity(4, 13), entity(18, 28)],
      matches: rival(29),
    });
    expect(at(record)).toEqual(["RIVAL"]);
  });

  test.each([
    ["a finding is not recorded", { entities: [] }],
    ["the text is cut", { text_length: 99 }],
    ["a redaction is elsewhere", { entities: [entity(3, 13)] }],
  ])("are not guessed if %s", (_name, members) => {
    const record = recordOf({
      redacted_text: "to [EMAIL] RIVAL",
      text_length: 20,
      entities: [entity(3, 14)],
      matches: rival(15),
      ...members,
    });
    expect(at(record)).toEqual([]);
  });

  test("within a redaction are not shown", () => {
    const record = recordOf({
      redacted_text: "to [EMAIL] now",
      text_length: 18,
      entities: [entity(3, 14)],
      matches: rival(5),
    });
    expect(at(record)).toEqual([]);
  });
});
