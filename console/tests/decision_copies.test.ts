import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { asCurl, asPdpDecide, asTestCase } from "../src/pages/decisions/copies";
import { missingParts, requestOf } from "../src/pages/decisions/request_of";
import { isPlain, safeJson, shellWord, yaml } from "../src/ui/escapes";
import { recordOf } from "./records";

const HOSTILE = [
  "'; touch /tmp/owned; '",
  '"$(id)" `id` $HOME \\ !!',
  "line\nline\r\n\ttab",
  "\u001b[31mred \u202e right to left \u0085 \u2028 \ufeff",
  "-rf",
  "=ls",
  "@/etc/passwd",
  "{a,b} * ? ~ # & | > <",
  "\ud800 half",
  "😀 日本",
  "",
];

/** Returns what a shell passes on as the arguments of a command. */
function wordsInShell(command: string): string[] {
  const output = execFileSync("/bin/sh", [
    "-c",
    `for word in ${command}; do printf '%s\\0' "$word"; done`,
  ]);
  return output.toString().split("\0").slice(0, -1);
}

describe("words of a shell", () => {
  test.each(HOSTILE.filter((text) => !text.includes("\ud800")))("%j is one word", (text) => {
    expect(wordsInShell(shellWord(text))).toEqual([text]);
  });
});

describe("JSON in shells and files", () => {
  test.each(HOSTILE)("%j comes back, and nothing in it can be seen as a control", (text) => {
    const json = safeJson({ text });
    expect(JSON.parse(json)).toEqual({ text });
    expect(isPlain(json)).toBe(true);
  });
});

describe("YAML", () => {
  test("texts are quoted, lists of objects are indented, undefined members are left out", () => {
    const value = { a: "x: y", list: ["1", 2], items: [{ no: true, b: undefined }, { c: {} }] };
    expect(yaml(value, "")).toBe(
      '\na: "x: y"\nlist: ["1", 2]\nitems:\n  - "no": true\n  - c: {}\n',
    );
  });
});

describe("the request of a record", () => {
  test("has what the record has, and nothing that is empty", () => {
    expect(requestOf(recordOf())).toEqual({
      subject: { user_id: "alice", groups: ["sales"] },
      model: { provider: "openai", model: "gpt-4o" },
      content: { text: "Buy RIVAL!" },
    });
  });

  test("of a payload is the payload", () => {
    const record = recordOf({
      payload_format: "openai.chat_completions",
      redacted_text: null,
      text_length: 0,
      arguments_sha256: "1f",
      redacted_arguments: { messages: [] } as never,
    });
    expect(requestOf(record).payload).toEqual({
      format: "openai.chat_completions",
      body: '{"messages":[]}',
    });
    expect(missingParts(record)).toEqual([]);
  });

  test("says what is not recorded", () => {
    expect(missingParts(recordOf({ redacted_text: null }))).toEqual(["the text"]);
  });
});

describe("copies", () => {
  test("the call of curl has the body in one word, and no credential", () => {
    const record = recordOf({ redacted_text: "it's; $(id)" });
    const command = asCurl(record, "http://127.0.0.1:8080", true);
    expect(command).toContain('-H "Authorization: Bearer $PDP_API_KEY"');
    const words = wordsInShell(command.replaceAll("\\\n", ""));
    expect(JSON.parse(words.at(-1) ?? "")).toEqual(requestOf(record));
  });

  test("pdp decide gets options if they say all", () => {
    expect(asPdpDecide(recordOf())).toBe(
      "pdp decide --text 'Buy RIVAL!' --user alice --group sales --model openai/gpt-4o" +
        " --tenant acme --explain",
    );
  });

  test("a text that looks like an option is joined to its option", () => {
    expect(asPdpDecide(recordOf({ redacted_text: "--json" }))).toContain("--text=--json ");
  });

  test.each([
    ["a text with lines", { redacted_text: "a\nb" }],
    [
      "a resource",
      { target: { resource_type: "table", resource_id: "t", classifications: [], fields: [] } },
    ],
    ["a provider without a model", { model: { provider: "openai", model: "" } }],
    ["a model with a slash and no provider", { model: { provider: "", model: "a/b" } }],
    ["a request without anything", { redacted_text: null, subject: null, model: null }],
  ])("pdp decide gets %s at its standard input", (_name, members) => {
    const record = recordOf(members);
    const command = asPdpDecide(record);
    expect(command).toContain("pdp decide --request - --tenant acme --explain");
    const json = wordsInShell(command.slice("printf '%s' ".length).split(" |\n")[0] ?? "")[0];
    expect(JSON.parse(json ?? "")).toEqual(requestOf(record));
  });

  test("the test case of a redacted request expects no matches", () => {
    const suite = asTestCase(
      recordOf({ obligations: [{ type: "REDACT", replacement: "[X]", spans: [] }] }),
    );
    expect(suite).toContain("# The request is redacted");
    expect(suite).not.toContain("matches:");
  });

  test("the test case expects the decision", () => {
    expect(asTestCase(recordOf())).toBe(
      [
        "# The policies: pdp policies export --tenant acme policies.yaml",
        'suite: "Decision d1"',
        'policies_file: "policies.yaml"',
        "cases:",
        '  - name: "BLOCK of 2026-02-26T10:00:00Z"',
        '    why: "Blocked by policy \\"No rivals\\"."',
        "    request:",
        "      subject:",
        '        user_id: "alice"',
        '        groups: ["sales"]',
        "      model:",
        '        provider: "openai"',
        '        model: "gpt-4o"',
        "      content:",
        '        text: "Buy RIVAL!"',
        '      timestamp: "2026-02-26T10:00:00Z"',
        "    expect:",
        '      outcome: "BLOCK"',
        '      reason_code: "STATIC_POLICY_BLOCK"',
        '      matches: ["No rivals"]',
        "",
      ].join("\n"),
    );
  });
});
