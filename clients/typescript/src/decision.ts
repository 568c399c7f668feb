/** Decisions in plain types. */

import { create, isMessage } from "@bufbuild/protobuf";
import { timestampDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import { PDP_UNAVAILABLE, UnavailableError } from "./errors.js";
import {
  DecideResponseSchema,
  ObligationType,
  Outcome as OutcomeNumber,
  type DecideRequest,
  type DecideResponse,
  type Match,
  type Obligation,
  type PolicyWarning,
  type Risk,
} from "./gen/pdp/v1/decide_pb.js";
import { isJsonObject, parseJson, type JsonObject } from "./json.js";
import type { Span } from "./redaction.js";

/** The result of a decision. `UNKNOWN` is one that this client does not know. */
export type Outcome =
  | "ALLOW"
  | "WARN"
  | "ALLOW_WITH_OVERRIDE"
  | "ROUTE_TO"
  | "REDACT"
  | "PROMPT"
  | "ESCALATE"
  | "CANCEL"
  | "BLOCK"
  | "UNKNOWN";

const OUTCOMES: ReadonlyMap<OutcomeNumber, Outcome> = new Map([
  [OutcomeNumber.ALLOW, "ALLOW"],
  [OutcomeNumber.WARN, "WARN"],
  [OutcomeNumber.ALLOW_WITH_OVERRIDE, "ALLOW_WITH_OVERRIDE"],
  [OutcomeNumber.ROUTE_TO, "ROUTE_TO"],
  [OutcomeNumber.REDACT, "REDACT"],
  [OutcomeNumber.PROMPT, "PROMPT"],
  [OutcomeNumber.ESCALATE, "ESCALATE"],
  [OutcomeNumber.CANCEL, "CANCEL"],
  [OutcomeNumber.BLOCK, "BLOCK"],
]);

const ALLOWED: ReadonlySet<Outcome> = new Set([
  "ALLOW",
  "WARN",
  "ALLOW_WITH_OVERRIDE",
  "ROUTE_TO",
  "REDACT",
]);

/** Returns the name of an outcome. */
export function outcomeOf(response: DecideResponse): Outcome {
  return OUTCOMES.get(response.outcome) ?? "UNKNOWN";
}

/** Returns what is wrong with an answer; empty if it is well-formed. */
export function contradictionIn(response: DecideResponse, request?: DecideRequest): string {
  const outcome = outcomeOf(response);
  if (outcome === "UNKNOWN") return `the outcome ${response.outcome} is not known`;
  if (response.allowed !== ALLOWED.has(outcome)) {
    return `allowed is ${response.allowed} for the outcome ${outcome}`;
  }
  if (request?.requestId && request.requestId !== response.requestId) {
    return "the decision is for another request";
  }
  return "";
}

/** The model that a request must be sent to. */
export interface Route {
  /** The name of the model. */
  readonly model: string;
  /** Its provider; empty if a server of an older version does not name it. */
  readonly provider: string;
}

/** Places to redact, and what replaces them. */
export interface Redaction {
  /** The places. */
  readonly spans: readonly Span[];
  /** What replaces each of them. */
  readonly replacement: string;
}

/** A prompt that the user must confirm. The confirmation is not printed and not in JSON. */
export class Prompt {
  readonly #confirmation: string;
  /** What to show to the user. */
  readonly message: string;
  /** Until when the confirmation can be used. */
  readonly expiresAt: Date | undefined;

  /** @internal */
  constructor(obligation: Obligation) {
    this.message = obligation.message ?? "";
    this.expiresAt = dateOf(obligation.expiresAt);
    this.#confirmation = obligation.confirmation;
  }

  /** Lets the request pass once, after the user has confirmed; keep it out of logs. */
  get confirmation(): string {
    return this.#confirmation;
  }
}

/** The approval that a request waits for. The token is not printed and not in JSON. */
export class Approval {
  readonly #token: string;
  /** The id of the approval, for the approvers. */
  readonly id: string;
  /** What the approvers are asked. */
  readonly message: string;
  /** `pending` or `approved`. */
  readonly state: string;
  /** Until when the approval can be given and used. */
  readonly expiresAt: Date | undefined;

  /** @internal */
  constructor(obligation: Obligation) {
    this.id = obligation.approvalId;
    this.message = obligation.message ?? "";
    this.state = obligation.approvalState;
    this.expiresAt = dateOf(obligation.expiresAt);
    this.#token = obligation.token;
  }

  /** Whether the approval is given, so that the request can be sent again now. */
  get isGiven(): boolean {
    return this.state === "approved";
  }

  /** Lets the request pass once, after the approval; keep it out of logs. */
  get token(): string {
    return this.#token;
  }
}

/** What the caller must do to comply with a decision. `enforce` does it. */
export interface Obligations {
  /** The places to redact. */
  readonly redact: readonly Redaction[];
  /** The names of the fields to mask. */
  readonly maskFields: readonly string[];
  /** The models to send the request to; more than one cannot be fulfilled. */
  readonly routes: readonly Route[];
  /** The prompts to show. */
  readonly prompts: readonly Prompt[];
  /** The approvals to wait for; more than one cannot be fulfilled. */
  readonly approvals: readonly Approval[];
}

/** A decision. Do not let a request pass by `allowed` alone; use `enforce`. */
export interface Decision {
  /** The result. */
  readonly outcome: Outcome;
  /** Whether the request may pass, after what the obligations require. */
  readonly allowed: boolean;
  /** Why, for the user. */
  readonly message: string;
  /** Why, for programs: for instance `STATIC_POLICY_BLOCK`; empty for a plain ALLOW. */
  readonly reasonCode: string;
  /** The id of the decision; empty if no server made it. */
  readonly decisionId: string;
  /** The id of the request. */
  readonly requestId: string;
  /** The HTTP status that a gateway can answer with. */
  readonly statusHint: number;
  /** The policy revision that the decision is based on. */
  readonly revision: number;
  /** The policies that matched. */
  readonly matches: readonly Match[];
  /** The warnings to show to the user. */
  readonly warnings: readonly PolicyWarning[];
  /** What the caller must do. */
  readonly obligations: Obligations;
  /** The risk score and its factors. */
  readonly risk: Risk | undefined;
  /** Whether something must be redacted or masked. */
  readonly redacted: boolean;
  /** The text after redaction; undefined if it has none. */
  readonly redactedText: string | undefined;
  /** The arguments after redaction; undefined if they have none. */
  readonly redactedArguments: JsonObject | undefined;
  /** The payload after redaction; undefined if it has none. */
  readonly redactedPayload: string | undefined;
  /** After how many seconds the request can pass; only with `LIMIT_EXCEEDED`. */
  readonly retryAfter: number | undefined;
  /** Identifies what was decided on; empty if it was not requested and not needed. */
  readonly inputHash: string;
  /** Whether a part of the request could not be evaluated, so that the outcome is the safe one. */
  readonly incomplete: boolean;
  /** Why there was no decision, so that this is a denial; undefined if a server decided. */
  readonly failure: UnavailableError | undefined;
  /** The message of the server. It has the tokens, so keep it out of logs. */
  readonly raw: DecideResponse;
}

/** Returns a decision in plain types. */
export function decisionOf(response: DecideResponse, failure?: UnavailableError): Decision {
  const obligations = obligationsOf(response);
  const decision: Omit<Decision, "raw"> = {
    outcome: outcomeOf(response),
    allowed: response.allowed,
    message: response.message,
    reasonCode: response.reasonCode,
    decisionId: response.decisionId,
    requestId: response.requestId,
    statusHint: response.statusHint,
    revision: Number(response.revision),
    matches: response.matches,
    warnings: response.warnings,
    obligations,
    risk: response.risk,
    redacted: obligations.redact.length > 0 || obligations.maskFields.length > 0,
    redactedText: response.redactedText,
    redactedArguments: redactedArgumentsOf(response),
    redactedPayload: response.redactedPayload,
    retryAfter: response.retryAfterS,
    inputHash: response.inputHash,
    incomplete: response.incomplete,
    failure,
  };
  // It has tokens, so it is not printed and not in JSON.
  Object.defineProperty(decision, "raw", { value: response });
  return Object.freeze(decision as Decision);
}

/** Returns the denial of a request on which there is no decision. */
export function denialOf(failure: UnavailableError, requestId: string): Decision {
  const response = create(DecideResponseSchema, {
    requestId,
    outcome: OutcomeNumber.BLOCK,
    allowed: false,
    message: "The request was stopped because no decision could be made.",
    reasonCode: PDP_UNAVAILABLE,
    statusHint: 503,
    incomplete: true,
  });
  return decisionOf(response, failure);
}

/** Returns the message of a decision. */
export function responseOf(decision: Decision | DecideResponse): DecideResponse {
  return isMessage(decision, DecideResponseSchema) ? decision : decision.raw;
}

/** Returns a point in time; undefined if there is none or if it does not exist. */
export function dateOf(time: Timestamp | undefined): Date | undefined {
  if (time === undefined) return undefined;
  const date = timestampDate(time);
  return Number.isNaN(date.getTime()) ? undefined : date;
}

function obligationsOf(response: DecideResponse): Obligations {
  const of = (type: ObligationType) => response.obligations.filter((each) => each.type === type);
  return Object.freeze({
    redact: of(ObligationType.REDACT).map(({ spans, replacement }) => ({
      spans,
      replacement: replacement ?? "",
    })),
    maskFields: [...new Set(of(ObligationType.MASK_FIELDS).flatMap(({ fields }) => fields))],
    routes: of(ObligationType.ROUTE_TO).map(({ model, provider }) => ({
      model: model ?? "",
      provider,
    })),
    prompts: of(ObligationType.PROMPT).map((each) => new Prompt(each)),
    approvals: of(ObligationType.APPROVAL).map((each) => new Approval(each)),
  });
}

function redactedArgumentsOf(response: DecideResponse): JsonObject | undefined {
  if (response.redactedArgumentsJson === undefined) return response.redactedArguments;
  try {
    const value = parseJson(response.redactedArgumentsJson);
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined; // `enforce` denies such an answer
  }
}
