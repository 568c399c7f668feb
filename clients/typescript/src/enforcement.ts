/**
 * What a policy enforcement point does with a decision: `enforce`, and `resume` if it was held.
 *
 * They fail closed: an outcome or an obligation that is not known, or cannot be fulfilled, is a
 * denial.
 */

import { clone, isMessage } from "@bufbuild/protobuf";
import {
  Approval,
  contradictionIn,
  decisionOf,
  outcomeOf,
  responseOf,
  type Decision,
  type Outcome,
  type Route,
} from "./decision.js";
import {
  DecideRequestSchema,
  ObligationType,
  type DecideRequest,
  type DecideResponse,
  type Obligation,
  type Span as SpanMessage,
} from "./gen/pdp/v1/decide_pb.js";
import { isJsonObject, parseJson, stringifyJson, type JsonObject, type JsonValue } from "./json.js";
import { maskFields, sameJson } from "./redaction.js";
import { requestMessage, type AnyRequest, type DecisionRequest } from "./request.js";

/** The request must not go out as it is. */
export class NotPermittedError extends Error {
  /** The name of the class. */
  override readonly name: string = "NotPermittedError";
  /** The decision. It is not printed, because it has tokens. */
  declare readonly decision: Decision;

  constructor(decision: Decision, reason: string) {
    super(reason, decision.failure && { cause: decision.failure });
    Object.defineProperty(this, "decision", { value: decision });
  }

  /** Why, for the user: the message of the decision, or what is wrong with it. */
  get reason(): string {
    return this.message;
  }
}

/** The request is stopped, or the decision has something that is not understood. */
export class DeniedError extends NotPermittedError {
  /** The name of the class. */
  override readonly name: string = "DeniedError";
}

/** The request waits for a person. Send it again as `resume` returns it. */
export class HeldError extends NotPermittedError {
  /** The name of the class. */
  override readonly name: string = "HeldError";
  /** The messages to show to the user, who must confirm; empty if only an approval is missing. */
  readonly prompts: readonly string[];
  /** The approval of a second person that is missing; undefined for none. */
  readonly approval: Approval | undefined;

  constructor(decision: Decision, prompts: readonly string[], approval?: Approval) {
    const messages = [...prompts, ...(approval?.message ? [approval.message] : [])];
    super(decision, messages.join(" ") || decision.message || WAITS);
    this.prompts = prompts;
    this.approval = approval;
  }
}

const WAITS = "The request waits for the approval of a second person.";

/** What may go out. */
export class Permit {
  /** The text to send in place of the request's text. */
  readonly text: string;
  /** The arguments to send in place of the request's; undefined if it has none. */
  readonly arguments: JsonObject | undefined;
  /** The same as JSON text, with numbers exactly as they were; empty for none. */
  readonly argumentsJson: string;
  /** The document to send in place of the request's payload; empty if it has none. */
  readonly payload: string;
  /** The model to send the request to; undefined for the model that it names. */
  readonly route: Route | undefined;
  /** The messages to show to the user. The request goes out all the same. */
  readonly warnings: readonly string[];
  /** What the user has confirmed. */
  readonly prompts: readonly string[];
  /** The fields that must be masked in what the resource returns, too; see `mask`. */
  readonly maskedFields: readonly string[];

  /** @internal */
  constructor(values: PermitValues) {
    this.text = values.text ?? "";
    this.arguments = values.arguments;
    this.argumentsJson = values.argumentsJson ?? "";
    this.payload = values.payload ?? "";
    this.route = values.route;
    this.warnings = values.warnings;
    this.prompts = values.prompts;
    this.maskedFields = values.maskedFields;
  }

  /**
   * Returns a JSON value without the values of `maskedFields`, at any depth.
   *
   * Use it for what the resource returns: the result of a tool or the rows of a query. `ssn` is
   * masked, too, if the field is `user.ssn` or `rows[0].ssn`.
   */
  mask<T extends JsonValue>(value: T): T {
    return masked(value, this.maskedFields) as T;
  }
}

interface PermitValues {
  text?: string;
  arguments?: JsonObject | undefined;
  argumentsJson?: string;
  payload?: string;
  route: Route | undefined;
  warnings: readonly string[];
  prompts: readonly string[];
  maskedFields: readonly string[];
}

/** The options of `enforce` and `resume`. */
export interface ConfirmationOptions {
  /** Whether the user has confirmed the prompts of this decision; by default false. */
  readonly confirmed?: boolean;
}

/**
 * Returns what may go out by a decision.
 *
 * With `confirmed`, prompts do not hold the request. Prefer `resume`: then the policies of that
 * moment judge the request, and a confirmation is used once.
 *
 * @param request - the request that was decided.
 * @param decision - the decision.
 * @throws DeniedError - the request is stopped, or the decision has something that this client does
 * not understand or cannot fulfil.
 * @throws HeldError - the user must confirm first, or a second person must approve the request.
 */
export function enforce(
  request: AnyRequest,
  decision: Decision | DecideResponse,
  { confirmed = false }: ConfirmationOptions = {},
): Permit {
  const response = responseOf(decision);
  const plain = response === decision ? decisionOf(response) : (decision as Decision);
  return new Enforcement(requestMessage(request), response, plain).permit(confirmed);
}

/**
 * Returns a held request as it is to be sent again.
 *
 * It has the token of the approval, and the confirmation of the prompts if the user has confirmed
 * them. As long as the approval is not given, the request is held again. If another person or
 * prompt holds it then, resume the returned request.
 *
 * @param request - the request that was held.
 * @param held - what `enforce` has thrown.
 * @throws RangeError - there is nothing to send it again with: the user has not confirmed, or the
 * server gives no confirmations.
 */
export function resume<R extends DecideRequest | DecisionRequest>(
  request: R,
  held: HeldError,
  options?: ConfirmationOptions,
): R extends DecideRequest ? DecideRequest : DecisionRequest;
export function resume(
  request: AnyRequest,
  held: HeldError,
  { confirmed = false }: ConfirmationOptions = {},
): AnyRequest {
  const tokens = held.approval ? [held.approval.token] : [];
  if (confirmed) {
    tokens.push(...held.decision.obligations.prompts.map((each) => each.confirmation));
  }
  const usable = tokens.filter((each) => each !== "");
  if (usable.length === 0) {
    const reason = confirmed ? "the decision has no confirmation" : "the user has not confirmed";
    throw new RangeError(`the request cannot be sent again: ${reason}`);
  }
  const all = [...new Set([...(request.tokens ?? []), ...usable])];
  if (isMessage(request, DecideRequestSchema)) {
    const again = clone(DecideRequestSchema, request);
    again.tokens = all;
    return again;
  }
  return { ...request, tokens: all };
}

/** The known obligations, each with the fields without which it cannot be fulfilled. */
const NEEDED: ReadonlyMap<ObligationType, readonly (keyof Obligation)[]> = new Map([
  [ObligationType.REDACT, ["spans"]],
  [ObligationType.ROUTE_TO, ["model"]],
  [ObligationType.PROMPT, ["message"]],
  [ObligationType.MASK_FIELDS, ["fields"]],
  [ObligationType.APPROVAL, ["approvalId", "token", "expiresAt"]],
] as const);

/** Which obligations say how to comply with an outcome. */
const FULFILLED_BY: ReadonlyMap<Outcome, readonly ObligationType[]> = new Map<
  Outcome,
  readonly ObligationType[]
>([
  ["REDACT", [ObligationType.REDACT, ObligationType.MASK_FIELDS]],
  ["ROUTE_TO", [ObligationType.ROUTE_TO]],
  ["ESCALATE", [ObligationType.APPROVAL]],
]);

/** Returns what is wrong with an obligation; empty if this client can fulfil it. */
export function problemOf(obligation: Obligation): string {
  const needed = NEEDED.get(obligation.type);
  if (needed === undefined) return `the obligation ${obligation.type} is not known`;
  const name = ObligationType[obligation.type];
  const missing = needed.find((each) => isEmpty(obligation[each]));
  if (missing) return `the obligation ${name} has no ${missing}`;
  const hasUnknown = [obligation, ...obligation.spans].some((each) => each.$unknown?.length);
  return hasUnknown ? `the obligation ${name} has a field that is not known` : "";
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === "" || (Array.isArray(value) && value.length === 0);
}

/** Does what one decision says about one request. */
class Enforcement {
  constructor(
    private readonly request: DecideRequest,
    private readonly response: DecideResponse,
    private readonly decision: Decision,
  ) {}

  permit(confirmed: boolean): Permit {
    this.#check();
    const prompts = this.#ofType(ObligationType.PROMPT).map((each) => each.message ?? "");
    const approval = this.#approval();
    if (approval) throw new HeldError(this.decision, prompts, approval);
    if ((prompts.length > 0 || this.decision.outcome === "PROMPT") && !confirmed) {
      const shown = this.response.message || "Please confirm the request.";
      throw new HeldError(this.decision, prompts.length ? prompts : [shown]);
    }
    const values: PermitValues = {
      route: this.#route(),
      warnings: this.response.warnings.map((each) => each.message),
      prompts,
      maskedFields: this.decision.obligations.maskFields,
    };
    if (this.request.payload) {
      values.payload = this.#payload();
      this.#checkMasked(values, undefined);
      return new Permit(values);
    }
    values.text = this.#text();
    const [value, text] = this.#arguments();
    this.#checkMasked(values, value);
    if (value === undefined) return new Permit(values);
    values.arguments = masked(value, values.maskedFields) as JsonObject;
    const isMasked = !sameJson(values.arguments, value);
    values.argumentsJson = isMasked ? stringifyJson(values.arguments) : text;
    return new Permit(values);
  }

  #deny(reason: string): never {
    throw new DeniedError(this.decision, reason);
  }

  /** Throws if the decision stops the request, is another's, or contradicts itself. */
  #check(): void {
    const { response } = this;
    const outcome = outcomeOf(response);
    if ((outcome === "BLOCK" || outcome === "CANCEL") && !response.allowed) {
      this.#deny(response.message || "The request is not allowed.");
    }
    const problem =
      contradictionIn(response, this.request) ||
      response.obligations.map(problemOf).find((each) => each !== "");
    if (problem) this.#deny(problem);
    const needed = FULFILLED_BY.get(outcome);
    if (needed && !response.obligations.some((each) => needed.includes(each.type))) {
      this.#deny(`the outcome ${outcome} has no obligation that says what to do`);
    }
  }

  #ofType(type: ObligationType): Obligation[] {
    return this.response.obligations.filter((each) => each.type === type);
  }

  #approval(): Approval | undefined {
    const [approval, another] = this.decision.obligations.approvals;
    if (another) this.#deny("the decision names several approvals");
    if (approval && !approval.expiresAt) {
      this.#deny("the approval expires at a time that does not exist");
    }
    return approval;
  }

  #route(): Route | undefined {
    const [route, ...others] = this.decision.obligations.routes;
    const isAnother = (each: Route) =>
      each.model !== route?.model || each.provider !== route.provider;
    if (others.some(isAnother)) this.#deny("the decision names several models to route to");
    return route;
  }

  #spans(): SpanMessage[] {
    return this.#ofType(ObligationType.REDACT).flatMap((each) => each.spans);
  }

  #payload(): string {
    const { payloadFormat, redactedPayload } = this.response;
    if (!payloadFormat) {
      this.#deny("the server does not know payloads, and has not judged this one");
    }
    if (redactedPayload !== undefined) return redactedPayload;
    if (this.#spans().length) {
      this.#deny("the payload must be redacted, and the decision has no redacted payload");
    }
    return this.request.payload?.body ?? "";
  }

  #text(): string {
    if (this.response.redactedText !== undefined) return this.response.redactedText;
    if (this.#spans().some((each) => each.path === undefined)) {
      this.#deny("the text must be redacted, and the decision has no redacted text");
    }
    return this.request.content?.text ?? "";
  }

  /** Returns the arguments after redaction, and their JSON text. */
  #arguments(): [JsonObject | undefined, string] {
    const { request, response } = this;
    if (response.redactedArgumentsJson !== undefined) {
      return this.#parsed(response.redactedArgumentsJson);
    }
    if (response.redactedArguments) {
      return [response.redactedArguments, stringifyJson(response.redactedArguments)];
    }
    if (this.#spans().some((each) => each.path !== undefined)) {
      this.#deny("the arguments must be redacted, and the decision has no redacted arguments");
    }
    if (request.argumentsJson) return this.#parsed(request.argumentsJson);
    return request.arguments
      ? [request.arguments, stringifyJson(request.arguments)]
      : [undefined, ""];
  }

  #parsed(text: string): [JsonObject, string] {
    let value: JsonValue = null;
    try {
      value = parseJson(text);
    } catch {
      // It is denied below.
    }
    return isJsonObject(value) ? [value, text] : this.#deny("the arguments are not a JSON object");
  }

  /** Throws if the request does not have a field to mask. */
  #checkMasked({ maskedFields }: PermitValues, value: JsonObject | undefined): void {
    if (maskedFields.length === 0) return;
    const places = new Set([...keysOf(value ?? null), ...(this.request.target?.fields ?? [])]);
    const missing = maskedFields.find((each) => !places.has(each));
    if (missing !== undefined) {
      this.#deny(`the field ${missing} must be masked, and the request has no such field`);
    }
  }
}

function masked(value: JsonValue, fields: readonly string[]): JsonValue {
  if (fields.length === 0) return value;
  return maskFields(value, new Set(fields.flatMap((name) => [name, lastPart(name)])));
}

/** Returns `ssn` for `user.ssn`, `/user/ssn` and `rows[0].ssn`. */
function lastPart(name: string): string {
  const parts = name.split(/[./[\]]/).filter((part) => part !== "");
  return parts.at(-1) ?? name;
}

function keysOf(value: JsonValue): string[] {
  if (Array.isArray(value)) return (value as readonly JsonValue[]).flatMap(keysOf);
  if (!isJsonObject(value)) return [];
  return Object.entries(value).flatMap(([name, item]) => [name, ...keysOf(item ?? null)]);
}
