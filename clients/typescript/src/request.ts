/** What a caller asks about, in plain types, and the message that is sent for it. */

import { clone, create, isMessage } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { invalidRequest } from "./errors.js";
import { DecideRequestSchema, type DecideRequest } from "./gen/pdp/v1/decide_pb.js";
import { stringifyJson, type JsonObject } from "./json.js";

/** The formats of documents that the server reads; an empty one means that it finds out. */
export type PayloadFormat =
  | ""
  | "openai.chat_completions"
  | "openai.responses"
  | "anthropic.messages"
  | "google.generate_content"
  | "bedrock.converse"
  | "mcp.jsonrpc"
  | "a2a.jsonrpc"
  | "json"
  | "text"
  | (string & {});

/** The user or agent that makes a request. */
export interface Subject {
  /** The user on whose behalf the request is made. */
  readonly userId?: string;
  /** The user's groups. */
  readonly groups?: readonly string[];
  /** The agent or client that makes the request. */
  readonly agentId?: string;
  /** The risk score of the user in the caller's own system. */
  readonly riskScore?: number;
  /** Further attributes, for conditions. */
  readonly attributes?: JsonObject;
}

/** A model and its provider. */
export interface ModelName {
  /** The provider, for instance `openai`. */
  readonly provider?: string;
  /** The model, for instance `gpt-4o`. */
  readonly model?: string;
}

/** The resource that an action applies to. */
export interface Target {
  /** The type of the resource, for instance `table`. */
  readonly resourceType?: string;
  /** The id of the resource. */
  readonly resourceId?: string;
  /** How sensitive the resource is, on the caller's own scale. */
  readonly sensitivityLevel?: number;
  /** The labels of the resource, for instance `PII`. */
  readonly classifications?: readonly string[];
  /** The fields of the resource that the action reads or writes. */
  readonly fields?: readonly string[];
}

/** A finding of the caller's own detectors. */
export interface Entity {
  /** The type of the entity, for instance `SSN`. */
  readonly entityType: string;
  /** How sure the finding is, from 0 to 1; by default 1. */
  readonly confidence?: number;
  /** The offset of its first code point. */
  readonly start?: number;
  /** The offset after its last code point. */
  readonly end?: number;
}

/** What a request uses of the limits. */
export interface Usage {
  /** The number of tokens. */
  readonly tokens?: number | bigint;
  /** The cost in US dollars. */
  readonly costUsd?: number;
}

/** A document of a provider or a protocol. */
export interface Payload {
  /** The format of the body; by default the server finds out. */
  readonly format?: PayloadFormat;
  /** The document as it was received. */
  readonly body: string;
  /** Whether what stands before the last answer is judged like the rest; by default `all`. */
  readonly history?: "all" | "latest";
  /** For an answer of MCP: the method of its request, for instance `tools/call`. */
  readonly answers?: string;
}

/** One request to decide on. Every member is optional; what is not here is not judged. */
export interface DecisionRequest {
  /** The caller's id of the request; by default the client makes one. */
  readonly requestId?: string;
  /** The tenant whose policies apply; by default that of the client, else of the credential. */
  readonly tenantId?: string;
  /** The customer whose policy applies in addition. */
  readonly customerId?: string;
  /** Who makes the request. */
  readonly subject?: Subject;
  /** `input` goes to a model or tool, `output` comes from it; by default `input`. */
  readonly direction?: "input" | "output";
  /** By default `interactive`. */
  readonly channel?: "interactive" | "api";
  /** How complex the task is. */
  readonly intentComplexity?: "simple" | "medium" | "complex";
  /** The model that the request is for. */
  readonly model?: ModelName;
  /** The text to judge. */
  readonly text?: string;
  /** The action that an agent is about to take, as `domain:scope:verb`. */
  readonly action?: string;
  /** The tool that an agent is about to call. */
  readonly tool?: string;
  /** The arguments of the tool. Bigints are exact integers. */
  readonly arguments?: JsonObject;
  /** The arguments as JSON text, in place of `arguments`. */
  readonly argumentsJson?: string;
  /** The resource that the action applies to. */
  readonly target?: Target;
  /** Further values for conditions. */
  readonly context?: JsonObject;
  /** When the request was made; by default now. */
  readonly timestamp?: Date;
  /** Findings of the caller's own detectors. */
  readonly entities?: readonly Entity[];
  /** What the request uses of the limits. */
  readonly usage?: Usage;
  /** The lowest policy revision that the decision may be based on. */
  readonly minRevision?: number | bigint;
  /** Whether the decision has a trace, in `raw.trace`. */
  readonly explain?: boolean;
  /** The conversation or the run that the request belongs to. */
  readonly sessionId?: string;
  /** A document to judge, in place of `text`, `tool`, `action`, `arguments` and `entities`. */
  readonly payload?: Payload;
  /** The tokens of earlier decisions on the same request; see `resume`. */
  readonly tokens?: readonly string[];
  /** Whether the decision has an `inputHash` in any case. */
  readonly wantInputHash?: boolean;
  /** Whether to ask without opening an approval. */
  readonly withoutApproval?: boolean;
}

/** A request in plain types, or as the generated message. */
export type AnyRequest = DecisionRequest | DecideRequest;

/**
 * Returns the message that is sent for a request. It is a copy.
 *
 * @throws CallError - the request cannot be sent as it is.
 */
export function requestMessage(request: AnyRequest): DecideRequest {
  if (isMessage(request, DecideRequestSchema)) return clone(DecideRequestSchema, request);
  checkNames(request);
  if (request.arguments && request.argumentsJson !== undefined) {
    throw invalidRequest("arguments_json", "set arguments or argumentsJson, not both");
  }
  // A server would judge another text than the one that goes out.
  checkText("content.text", request.text);
  checkText("payload.body", request.payload?.body);
  const { subject, usage } = request;
  return create(DecideRequestSchema, {
    ...given({
      requestId: request.requestId,
      tenantId: request.tenantId,
      customerId: request.customerId,
      direction: request.direction,
      channel: request.channel,
      intentComplexity: request.intentComplexity,
      action: request.action,
      tool: request.tool,
      sessionId: request.sessionId,
      explain: request.explain,
      wantInputHash: request.wantInputHash,
      withoutApproval: request.withoutApproval,
      model: request.model && given(request.model),
      payload: request.payload && given(request.payload),
      content: request.text === undefined ? undefined : { text: request.text },
      argumentsJson: request.argumentsJson ?? jsonText("arguments", request.arguments),
      contextJson: jsonText("context", request.context),
      timestamp: request.timestamp && timestampFromDate(request.timestamp),
      minRevision: toInt64("min_revision", request.minRevision),
    }),
    ...(subject && {
      subject: {
        ...given({ userId: subject.userId, agentId: subject.agentId }),
        ...given({ riskScore: subject.riskScore }),
        groups: [...(subject.groups ?? [])],
        ...given({ attributesJson: jsonText("subject.attributes", subject.attributes) }),
      },
    }),
    ...(request.target && {
      target: {
        ...given({
          resourceType: request.target.resourceType,
          resourceId: request.target.resourceId,
          sensitivityLevel: request.target.sensitivityLevel,
        }),
        classifications: [...(request.target.classifications ?? [])],
        fields: [...(request.target.fields ?? [])],
      },
    }),
    ...(usage && {
      usage: given({ tokens: toInt64("usage.tokens", usage.tokens), costUsd: usage.costUsd }),
    }),
    entities: (request.entities ?? []).map((each) => given(each)),
    tokens: [...(request.tokens ?? [])],
  });
}

/** The members of a request, and of the objects in it. */
const MEMBERS: Readonly<Record<string, readonly string[]>> = {
  "": [
    ...["requestId", "tenantId", "customerId", "subject", "direction", "channel", "model", "text"],
    ...["intentComplexity", "action", "tool", "arguments", "argumentsJson", "target", "context"],
    ...["timestamp", "entities", "usage", "minRevision", "explain", "sessionId", "payload"],
    ...["tokens", "wantInputHash", "withoutApproval"],
  ],
  subject: ["userId", "groups", "agentId", "riskScore", "attributes"],
  model: ["provider", "model"],
  target: ["resourceType", "resourceId", "sensitivityLevel", "classifications", "fields"],
  entities: ["entityType", "confidence", "start", "end"],
  usage: ["tokens", "costUsd"],
  payload: ["format", "body", "history", "answers"],
};

/** Throws if a request has a member that is not known: it would go out unjudged. */
function checkNames(request: DecisionRequest): void {
  for (const [place, names] of Object.entries(MEMBERS)) {
    const value: unknown = place ? request[place as keyof DecisionRequest] : request;
    for (const each of Array.isArray(value) ? value : [value ?? {}]) {
      const unknown = Object.keys(each as object).find((name) => !names.includes(name));
      if (unknown === undefined) continue;
      const path = place ? `${place}.${unknown}` : unknown;
      throw invalidRequest(path, `is not a member of a request; use ${names.join(", ")}`);
    }
  }
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Returns an object without the members that are undefined. */
export function given<T extends object>(value: T): Given<T> {
  const members = Object.entries(value).filter(([, each]) => each !== undefined);
  return Object.fromEntries(members) as Given<T>;
}

function jsonText(field: string, value: JsonObject | undefined): string | undefined {
  if (value === undefined) return undefined;
  try {
    return stringifyJson(value);
  } catch (error) {
    throw invalidRequest(field, error instanceof Error ? error.message : String(error));
  }
}

function toInt64(field: string, value: number | bigint | undefined): bigint | undefined {
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    throw invalidRequest(field, `${value} is not an exact integer`);
  }
  return value === undefined ? undefined : BigInt(value);
}

function checkText(field: string, text: string | undefined): void {
  if (text !== undefined && /\p{Surrogate}/u.test(text)) {
    throw invalidRequest(field, "has half of a surrogate pair");
  }
}
