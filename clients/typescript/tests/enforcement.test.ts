import assert from "node:assert/strict";
import { inspect } from "node:util";
import { describe, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  DecideRequestSchema,
  DecideResponseSchema,
  DeniedError,
  enforce,
  HeldError,
  resume,
  type DecisionRequest,
} from "pdp-client";
import { ObligationType, Outcome } from "#internal/gen/pdp/v1/decide_pb";

type Init = MessageInitShape<typeof DecideResponseSchema>;

const WEAK = [Outcome.ALLOW, Outcome.WARN, Outcome.ALLOW_WITH_OVERRIDE];

function decided(init: Init) {
  return create(DecideResponseSchema, { outcome: Outcome.ALLOW, allowed: true, ...init });
}

function redact(...spans: { path?: string; start: number; end: number }[]) {
  return { type: ObligationType.REDACT, replacement: "[REDACTED]", spans };
}

function denial(request: DecisionRequest, init: Init): string {
  try {
    enforce(request, decided(init));
  } catch (error) {
    assert(error instanceof DeniedError, String(error));
    return error.reason;
  }
  return assert.fail("it was permitted");
}

function held(request: DecisionRequest, init: Init): HeldError {
  try {
    enforce(request, decided(init));
  } catch (error) {
    assert(error instanceof HeldError, String(error));
    return error;
  }
  return assert.fail("it was permitted");
}

describe("what passes", () => {
  for (const outcome of WEAK) {
    test(`${Outcome[outcome]} passes unchanged, with its warnings`, () => {
      const warnings = [{ policyId: "p", message: "careful" }];
      const request = { text: "hi", arguments: { id: 1234567890123456789n } };
      const permit = enforce(request, decided({ outcome, warnings }));
      assert.equal(permit.text, "hi");
      assert.deepEqual(permit.arguments, request.arguments);
      assert.equal(permit.argumentsJson, '{"id":1234567890123456789}');
      assert.deepEqual(permit.warnings, ["careful"]);
      assert.equal(permit.route, undefined);
    });
  }

  test("redacted texts and arguments take the place of the others", () => {
    const permit = enforce(
      { text: "card 4111", arguments: { a: "4111", n: 1 } },
      decided({
        outcome: Outcome.REDACT,
        obligations: [redact({ start: 5, end: 9 }, { path: "/a", start: 0, end: 4 })],
        redactedText: "card [REDACTED]",
        redactedArgumentsJson: '{"a":"[REDACTED]","n":12345678901234567890}',
      }),
    );
    assert.equal(permit.text, "card [REDACTED]");
    assert.deepEqual(permit.arguments, { a: "[REDACTED]", n: 12345678901234567890n });
  });

  test("an empty redacted text is one", () => {
    const init = { outcome: Outcome.REDACT, obligations: [redact({ start: 0, end: 3 })] };
    assert.equal(enforce({ text: "abc" }, decided({ ...init, redactedText: "" })).text, "");
  });

  test("a generated message is a request, too", () => {
    const request = create(DecideRequestSchema, { content: { text: "hi" }, arguments: { a: 1 } });
    const permit = enforce(request, decided({}));
    assert.deepEqual([permit.text, permit.arguments], ["hi", { a: 1 }]);
  });

  test("a route is followed", () => {
    const obligations = [{ type: ObligationType.ROUTE_TO, model: "small", provider: "acme" }];
    const permit = enforce({}, decided({ outcome: Outcome.ROUTE_TO, obligations }));
    assert.deepEqual(permit.route, { model: "small", provider: "acme" });
  });

  test("fields are masked in the arguments and in what the resource returns", () => {
    const permit = enforce(
      { arguments: { user: { ssn: "1", name: "Ann", id: 1234567890123456789n } }, target: { fields: ["rows[0].pin"] } },
      decided({
        outcome: Outcome.REDACT,
        obligations: [{ type: ObligationType.MASK_FIELDS, fields: ["ssn", "rows[0].pin"] }],
      }),
    );
    assert.equal(
      permit.argumentsJson,
      '{"user":{"ssn":"[MASKED]","name":"Ann","id":1234567890123456789}}',
    );
    assert.deepEqual(permit.mask({ rows: [{ pin: 1, name: "Ann" }] }), {
      rows: [{ pin: "[MASKED]", name: "Ann" }],
    });
  });

  test("a redacted payload takes the place of the payload", () => {
    const request = { payload: { body: '{"a":"4111"}' } };
    const init = { payloadFormat: "json", redactedPayload: '{"a":"x"}' };
    assert.equal(enforce(request, decided(init)).payload, '{"a":"x"}');
    assert.equal(enforce(request, decided({ payloadFormat: "json" })).payload, '{"a":"4111"}');
  });
});

describe("what is denied", () => {
  const cases: [string, DecisionRequest, Init, RegExp][] = [
    ["BLOCK", {}, { outcome: Outcome.BLOCK, allowed: false, message: "no" }, /^no$/],
    ["CANCEL", {}, { outcome: Outcome.CANCEL, allowed: false }, /not allowed/],
    ["an outcome that is not known", {}, { outcome: 42 as Outcome }, /42 is not known/],
    ["no outcome", {}, { outcome: Outcome.UNSPECIFIED }, /not known/],
    ["BLOCK that is allowed", {}, { outcome: Outcome.BLOCK }, /allowed is true/],
    ["ALLOW that is not allowed", {}, { allowed: false }, /allowed is false/],
    ["PROMPT that is allowed", {}, { outcome: Outcome.PROMPT }, /allowed is true/],
    ["another request", { requestId: "a" }, { requestId: "b" }, /another request/],
    ["an obligation that is not known", {}, { obligations: [{ type: 42 as ObligationType }] }, /42 is not known/],
    ["REDACT without obligation", {}, { outcome: Outcome.REDACT }, /what to do/],
    ["REDACT without spans", {}, { obligations: [redact()] }, /no spans/],
    ["a text without its redaction", { text: "a" }, { obligations: [redact({ start: 0, end: 1 })] }, /no redacted text/],
    [
      "arguments without their redaction",
      { arguments: { a: "b" } },
      { obligations: [redact({ path: "/a", start: 0, end: 1 })], redactedText: "" },
      /no redacted arguments/,
    ],
    [
      "a payload without its redaction",
      { payload: { body: "{}" } },
      { payloadFormat: "json", obligations: [redact({ path: "/a", start: 0, end: 1 })] },
      /no redacted payload/,
    ],
    ["a payload that was not judged", { payload: { body: "{}" } }, {}, /does not know payloads/],
    ["ROUTE_TO without target", {}, { outcome: Outcome.ROUTE_TO }, /what to do/],
    ["a route without model", {}, { obligations: [{ type: ObligationType.ROUTE_TO }] }, /no model/],
    [
      "several routes",
      {},
      {
        obligations: ["a", "b"].map((model) => ({ type: ObligationType.ROUTE_TO, model })),
      },
      /several models/,
    ],
    [
      "a field that is not there",
      { arguments: { a: 1 } },
      { obligations: [{ type: ObligationType.MASK_FIELDS, fields: ["ssn"] }] },
      /no such field/,
    ],
    ["ESCALATE without approval", {}, { outcome: Outcome.ESCALATE, allowed: false }, /what to do/],
    [
      "an approval without token",
      {},
      { obligations: [{ type: ObligationType.APPROVAL, approvalId: "a", expiresAt: { seconds: 1n } }] },
      /no token/,
    ],
    [
      "several approvals",
      {},
      {
        obligations: ["a", "b"].map((approvalId) => ({
          type: ObligationType.APPROVAL,
          approvalId,
          token: "t",
          expiresAt: { seconds: 1n },
        })),
      },
      /several approvals/,
    ],
    [
      "an approval that never ends",
      {},
      {
        obligations: [
          { type: ObligationType.APPROVAL, approvalId: "a", token: "t", expiresAt: { seconds: 1n << 60n } },
        ],
      },
      /does not exist/,
    ],
    ["redacted arguments that are not JSON", {}, { redactedArgumentsJson: "[" }, /not a JSON object/],
  ];
  for (const [name, request, init, reason] of cases) {
    test(name, () => assert.match(denial(request, init), reason));
  }

  test("an obligation with a field that is not known", () => {
    const response = decided({ obligations: [redact({ start: 0, end: 1 })], redactedText: "x" });
    const [obligation] = response.obligations;
    assert(obligation);
    obligation.$unknown = [{ no: 99, wireType: 0, data: new Uint8Array([1]) }];
    assert.throws(() => enforce({ text: "a" }, response), /a field that is not known/);
  });
});

describe("what is held", () => {
  const prompt = { type: ObligationType.PROMPT, message: "Sure?", confirmation: "secret-c" };
  const approval = {
    type: ObligationType.APPROVAL,
    approvalId: "a1",
    message: "Delete?",
    token: "secret-t",
    approvalState: "pending",
    expiresAt: { seconds: 4102444800n },
  };

  test("a prompt waits for the user", () => {
    const init = { outcome: Outcome.PROMPT, allowed: false, obligations: [prompt] };
    const error = held({ text: "hi" }, init);
    assert.deepEqual([error.prompts, error.reason, error.approval], [["Sure?"], "Sure?", undefined]);
    assert.throws(() => resume({ text: "hi" }, error), RangeError);
    const again = resume({ text: "hi", tokens: ["t0"] }, error, { confirmed: true });
    assert.deepEqual(again, { text: "hi", tokens: ["t0", "secret-c"] });
    assert.deepEqual(enforce({ text: "hi" }, decided(init), { confirmed: true }).prompts, ["Sure?"]);
  });

  test("a prompt holds whatever the outcome is", () => {
    assert.deepEqual(held({}, { obligations: [prompt] }).prompts, ["Sure?"]);
  });

  test("a prompt of an older server cannot be resumed", () => {
    const error = held({}, { outcome: Outcome.PROMPT, allowed: false, message: "Sure?" });
    assert.deepEqual(error.prompts, ["Sure?"]);
    assert.throws(() => resume({}, error, { confirmed: true }), /no confirmation/);
  });

  test("an approval waits for a second person, even if the user has confirmed", () => {
    const init = { outcome: Outcome.ESCALATE, allowed: false, obligations: [approval, prompt] };
    const error = held({}, init);
    assert.equal(error.approval?.id, "a1");
    assert.equal(error.approval.isGiven, false);
    assert.equal(error.approval.expiresAt?.toISOString(), "2100-01-01T00:00:00.000Z");
    assert.throws(() => enforce({}, decided(init), { confirmed: true }), HeldError);
    assert.deepEqual(resume({}, error).tokens, ["secret-t"]);
    const message = create(DecideRequestSchema, { tool: "sql" });
    const again = resume(message, error, { confirmed: true });
    assert.deepEqual([again.tool, again.tokens], ["sql", ["secret-t", "secret-c"]]);
    assert.deepEqual(message.tokens, []);
  });

  test("tokens are not printed", () => {
    const init = { outcome: Outcome.ESCALATE, allowed: false, obligations: [approval, prompt] };
    const error = held({}, init);
    for (const each of [error, error.decision, error.approval]) {
      assert.doesNotMatch(inspect(each, { depth: 9 }) + JSON.stringify(each), /secret/);
    }
  });
});
