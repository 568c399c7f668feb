/** Calls over the HTTP API. It needs `fetch` and no gRPC. */

import { fromJson, toJson, type DescMessage, type JsonValue, type MessageShape } from "@bufbuild/protobuf";
import { isLoopback } from "./addresses.js";
import type { CallContext, Endpoint, UnaryMethod } from "./endpoint.js";
import { errorOf, invalidRequest, UnavailableError, type CallError, type FieldViolation } from "./errors.js";
import { ObligationSchema, SpanSchema, type DecideResponse } from "./gen/pdp/v1/decide_pb.js";
import { isJsonObject, stringifyJson } from "./json.js";

/** The routes of the methods. */
const ROUTES: Readonly<Record<string, string>> = {
  "pdp.v1.DecideService.Decide": "/v1/decide",
  "pdp.v1.DecideService.DecideBatch": "/v1/decide/batch",
  "pdp.v1.SimulateService.Simulate": "/v1/simulate",
};

/** The form of answers that has the names of the contracts, and no others. */
const PROTOJSON = "application/json;profile=protojson";

/** The function that sends HTTP requests. */
export type Fetch = (url: string, options: RequestInit) => Promise<Response>;

/** One server over HTTP. */
export class HttpEndpoint implements Endpoint {
  readonly address: string;
  readonly #fetch: Fetch;

  constructor(url: string, options: { readonly plaintext: boolean; readonly fetch: Fetch }) {
    const parsed = new URL(url);
    if (parsed.protocol !== "https:" && parsed.protocol !== "http:") {
      throw new RangeError(`the URL ${JSON.stringify(url)} is not one of http or https`);
    }
    const isPlain = parsed.protocol === "http:";
    if (isPlain && !options.plaintext && !isLoopback(parsed.hostname)) {
      throw new TypeError(`${parsed.host} is not of this machine: use https, or set plaintext`);
    }
    this.address = url.replace(/\/+$/, "");
    this.#fetch = options.fetch;
  }

  isReady(): boolean {
    return true;
  }

  async connect(): Promise<void> {
    // `fetch` connects.
  }

  async call<I extends DescMessage, O extends DescMessage>(
    method: UnaryMethod<I, O>,
    request: MessageShape<I>,
    { headers, signal }: CallContext,
  ): Promise<MessageShape<O>> {
    const route = ROUTES[`${method.parent.typeName}.${method.name}`];
    if (route === undefined) throw new UnavailableError(`${method.name} has no route over HTTP`);
    const body = bodyOf(method.input, request);
    let response: Response;
    let text: string;
    try {
      response = await this.#fetch(`${this.address}${route}`, {
        method: "POST",
        headers: { ...headers, accept: PROTOJSON, "content-type": "application/json" },
        body,
        signal,
        redirect: "error", // another server would get the credential
      });
      text = await response.text();
    } catch (cause) {
      throw signal.aborted ? signal.reason : networkError(cause, this.address);
    }
    if (response.status !== 200) throw errorOfResponse(response.status, text);
    return messageOf(method.output, text);
  }

  reset(): void {
    // `fetch` has its own connections.
  }

  close(): void {
    // `fetch` has its own connections.
  }
}

function networkError(cause: unknown, address: string): UnavailableError {
  const reason = cause instanceof Error ? cause.cause : undefined;
  const code = reason instanceof Error && "code" in reason ? String(reason.code) : "";
  return new UnavailableError(`cannot call ${address}${code && `: ${code}`}`, {
    code: "UNAVAILABLE",
    mayHaveArrived: !NOT_SENT.has(code),
    cause,
  });
}

/** Errors of connecting, in Node.js. */
const NOT_SENT: ReadonlySet<string> = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN"]);

/** The statuses of gRPC that statuses of HTTP stand for. */
const CODES: Readonly<Record<number, string>> = {
  400: "INVALID_ARGUMENT",
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "UNIMPLEMENTED",
  409: "FAILED_PRECONDITION",
  413: "RESOURCE_EXHAUSTED",
  415: "INVALID_ARGUMENT",
  422: "INVALID_ARGUMENT",
  429: "RESOURCE_EXHAUSTED",
  500: "INTERNAL",
  502: "UNAVAILABLE",
  503: "UNAVAILABLE",
  504: "DEADLINE_EXCEEDED",
};

function errorOfResponse(status: number, text: string): CallError {
  const { code, message, details } = errorMember(text);
  const violations = (Array.isArray(details) ? details : []).filter(isViolation);
  const reason = typeof code === "string" ? code : "";
  return errorOf(
    CODES[status] ?? "UNKNOWN",
    typeof message === "string" ? message : `the server answered with the status ${status}`,
    { reason, violations },
  );
}

function errorMember(text: string): { code?: unknown; message?: unknown; details?: unknown } {
  try {
    const body: unknown = JSON.parse(text);
    if (isJsonObject(body) && isJsonObject(body["error"])) return body["error"];
  } catch {
    // A gateway in between may answer with something else.
  }
  return {};
}

function isViolation(value: unknown): value is FieldViolation {
  return (
    isJsonObject(value) && typeof value["field"] === "string" && typeof value["reason"] === "string"
  );
}

function messageOf<O extends DescMessage>(schema: O, text: string): MessageShape<O> {
  try {
    const json = JSON.parse(text) as JsonValue;
    const message = fromJson(schema, json, { ignoreUnknownFields: true });
    markUnknownMembers(message as unknown as Answer, json as unknown as JsonAnswer);
    return message;
  } catch (cause) {
    throw new UnavailableError("the answer of the server cannot be read", { cause });
  }
}

interface Answer extends Partial<DecideResponse> {
  responses?: Answer[];
  decision?: Answer;
}

interface JsonAnswer {
  obligations?: (Record<string, unknown> & { spans?: Record<string, unknown>[] })[];
  responses?: JsonAnswer[];
  decision?: JsonAnswer;
}

/** Marks obligations with members that are not known, as gRPC does: they may ask for more. */
function markUnknownMembers(answer: Answer, json: JsonAnswer): void {
  answer.obligations?.forEach((obligation, at) => {
    const source = json.obligations?.[at];
    const spans = source?.spans ?? [];
    const isKnown =
      hasOnly(source ?? {}, ObligationSchema) && spans.every((each) => hasOnly(each, SpanSchema));
    if (!isKnown) obligation.$unknown = [{ no: 99, wireType: 2, data: new Uint8Array([0]) }];
  });
  answer.responses?.forEach((each, at) => markUnknownMembers(each, json.responses?.[at] ?? {}));
  if (answer.decision) markUnknownMembers(answer.decision, json.decision ?? {});
}

function hasOnly(value: Record<string, unknown>, schema: DescMessage): boolean {
  const names = new Set(schema.fields.flatMap((field) => [field.name, field.jsonName]));
  return Object.keys(value).every((name) => names.has(name));
}

/** JSON text that is written as it is. */
class RawJson {
  constructor(readonly text: string) {}
}

/** The fields with JSON text, which the HTTP API has as JSON. */
const JSON_TEXTS: Readonly<Record<string, string>> = {
  arguments_json: "arguments",
  context_json: "context",
  attributes_json: "attributes",
};

/** The fields with 64-bit integers, which the HTTP API has as numbers. */
const INT64: ReadonlySet<string> = new Set(["min_revision", "tokens"]);

/** Returns the body of a request in the form of the HTTP API. */
function bodyOf<I extends DescMessage>(schema: I, request: MessageShape<I>): string {
  const json = toJson(schema, request, { useProtoFieldName: true });
  return write(restForm(json as JsonValue));
}

type RestValue = JsonValue | RawJson | bigint | RestValue[] | { [name: string]: RestValue };

/** The fields whose values are the caller's own. */
const FREE: ReadonlySet<string> = new Set(["arguments", "context", "attributes", "policies"]);

function restForm(value: JsonValue): RestValue {
  if (Array.isArray(value)) return value.map(restForm);
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value).map(([name, item]): [string, RestValue] => {
    const field = JSON_TEXTS[name];
    if (field !== undefined && typeof item === "string") {
      if (field in value) throw invalidRequest(name, `set ${field} or ${name}, not both`);
      return [field, rawJson(name, item)];
    }
    if (FREE.has(name)) return [name, item];
    if (INT64.has(name) && typeof item === "string") return [name, BigInt(item)];
    return [name, restForm(item)];
  });
  return Object.fromEntries(members);
}

function rawJson(field: string, text: string): RawJson {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalidRequest(field, "is not JSON");
  }
  if (!isJsonObject(value)) throw invalidRequest(field, "must be a JSON object");
  return new RawJson(text);
}

function write(value: RestValue): string {
  if (value instanceof RawJson) return value.text;
  if (Array.isArray(value)) return `[${value.map((each) => write(each)).join(",")}]`;
  if (typeof value !== "object" || value === null) return stringifyJson(value);
  const members = Object.entries(value).map(
    ([name, item]) => `${JSON.stringify(name)}:${write(item as RestValue)}`,
  );
  return `{${members.join(",")}}`;
}
