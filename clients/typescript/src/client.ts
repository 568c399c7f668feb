/** The client, whatever its transport is. */

import { create } from "@bufbuild/protobuf";
import { Connections } from "./connections.js";
import { credentialHeaders, type Credentials } from "./credentials.js";
import { contradictionIn, decisionOf, denialOf, type Decision } from "./decision.js";
import type { Endpoint } from "./endpoint.js";
import { UnavailableError } from "./errors.js";
import {
  DecideBatchRequestSchema,
  DecideService,
  type DecideRequest,
  type DecideResponse,
} from "./gen/pdp/v1/decide_pb.js";
import {
  OverlaySchema,
  SimulateRequestSchema,
  SimulateService,
  type LayerResult,
  type SimulateResponse,
} from "./gen/pdp/v1/simulate_pb.js";
import type { WriteWarning } from "./gen/pdp/v1/write_warning_pb.js";
import {
  requestMessage,
  type AnyRequest,
  type DecisionRequest,
  type PayloadFormat,
} from "./request.js";
import { DEFAULT_RESILIENCE, type Resilience } from "./resilience.js";
import { TextStream, type TextStreamOptions } from "./text-stream.js";
import { traced, type TraceContext } from "./telemetry.js";

/** What the clients of all transports can be given. */
export interface CommonOptions extends Credentials {
  /** The tenant of requests that name none; by default that of the credential. */
  readonly tenant?: string;
  /** The longest time of a call, with connecting and retries, in milliseconds; by default 1000. */
  readonly timeoutMs?: number;
  /** How the client behaves when a server fails. */
  readonly resilience?: Partial<Resilience>;
}

/** The options of one call. */
export interface CallOptions extends TraceContext {
  /** The longest time of this call, in milliseconds; by default that of the client. */
  readonly timeoutMs?: number;
  /** Ends the call; the call then fails with the reason of the signal. */
  readonly signal?: AbortSignal;
}

/** The options of a call that decides. */
export interface DecideOptions extends CallOptions {
  /**
   * What happens if there is no decision: `deny`, the default, returns a BLOCK with the reason code
   * `PDP_UNAVAILABLE`; `throw` throws an `UnavailableError`.
   */
  readonly onUnavailable?: "deny" | "throw";
}

/** Candidate policies of a simulation. */
export interface Overlay {
  /** The policies by section, as in a policy file. */
  readonly policies: { readonly [section: string]: unknown };
}

/** What would be decided. */
export interface Simulation {
  /** The decision. It must not be enforced. */
  readonly decision: Decision;
  /** What each layer says. */
  readonly layers: readonly LayerResult[];
  /** What is odd about the candidate policies. */
  readonly warnings: readonly WriteWarning[];
  /** The message of the server. */
  readonly raw: SimulateResponse;
}

/** Asks a policy decision point. */
export interface PolicyClient {
  /** Whether texts are judged while they arrive. If not, they are judged at their end. */
  readonly hasStreams: boolean;

  /**
   * Decides on a request.
   *
   * @throws CallError - the server refused the request, so there is no decision.
   */
  decide(request: AnyRequest, options?: DecideOptions): Promise<Decision>;

  /**
   * Decides on a document of a provider or a protocol.
   *
   * @param format - its format; if it is empty, the server finds out.
   * @param body - the document as it was received, or a value that is written as JSON.
   * @param request - who asks, the direction and so on.
   * @throws CallError - the server refused the request, so there is no decision.
   */
  decidePayload(
    format: PayloadFormat,
    body: string | object,
    request?: DecisionRequest,
    options?: DecideOptions,
  ): Promise<Decision>;

  /**
   * Decides on many requests by the same policies; returns the decisions in order.
   *
   * @throws CallError - the server refused the requests, so there are no decisions.
   */
  decideBatch(requests: readonly AnyRequest[], options?: DecideOptions): Promise<Decision[]>;

  /**
   * Judges a text that arrives in chunks, by default the output of a model.
   *
   * @param request - everything but the text.
   */
  openText(request?: AnyRequest, options?: TextStreamOptions): TextStream;

  /**
   * Yields what may go out of a text that arrives in chunks.
   *
   * @throws DeniedError - the rest of the text must not go out.
   */
  filterText(
    chunks: AsyncIterable<string> | Iterable<string>,
    request?: AnyRequest,
    options?: TextStreamOptions,
  ): AsyncGenerator<string, void, undefined>;

  /**
   * Returns what would be decided, with the tenant's policies or with candidates.
   *
   * @throws CallError - there is no result.
   */
  simulate(request: AnyRequest, overlay?: Overlay, options?: CallOptions): Promise<Simulation>;

  /** Closes the connections. Later calls fail. */
  close(): void;
}

/** What all clients have in common. */
export abstract class BaseClient implements PolicyClient {
  readonly #connections: Connections;
  readonly #credential: () => Promise<Record<string, string>>;
  readonly #tenant: string;
  readonly #timeoutMs: number;

  /** @internal */
  protected constructor(endpoints: readonly Endpoint[], options: CommonOptions) {
    if (endpoints.length === 0) throw new RangeError("the client needs at least one address");
    const settings = { ...DEFAULT_RESILIENCE, ...options.resilience };
    this.#connections = new Connections(endpoints, settings);
    this.#credential = credentialHeaders(options);
    this.#tenant = options.tenant ?? "";
    this.#timeoutMs = checkTimeout(options.timeoutMs ?? 1000);
  }

  get hasStreams(): boolean {
    return this.#connections.hasStreams;
  }

  async decide(request: AnyRequest, options: DecideOptions = {}): Promise<Decision> {
    const message = this.#prepare(request);
    const { requestId } = message;
    const send = async (trace: Record<string, string>) => {
      const answer = await this.#connections.send(DecideService.method.decide, message, {
        ...this.#sendOptions(options, { ...trace, ...requestHeader(requestId) }),
        repeatable: message.tokens.length === 0,
        check: (response: DecideResponse) => checkAnswer(response, message),
      });
      return decisionOf(answer);
    };
    return traced(
      "Decide",
      options,
      (trace) => orDeny(send(trace), options, (failure) => denialOf(failure, requestId)),
      (decision) => [decision],
    );
  }

  async decidePayload(
    format: PayloadFormat,
    body: string | object,
    request: DecisionRequest = {},
    options: DecideOptions = {},
  ): Promise<Decision> {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const payload = { ...request.payload, format, body: text };
    return this.decide({ ...request, payload }, options);
  }

  async decideBatch(
    requests: readonly AnyRequest[],
    options: DecideOptions = {},
  ): Promise<Decision[]> {
    const messages = requests.map((each) => this.#prepare(each));
    const batch = create(DecideBatchRequestSchema, { tenantId: this.#tenant, requests: messages });
    const send = async (trace: Record<string, string>) => {
      const answer = await this.#connections.send(DecideService.method.decideBatch, batch, {
        ...this.#sendOptions(options, { ...trace, ...requestHeader(newId()) }),
        repeatable: messages.every((each) => each.tokens.length === 0),
        check: ({ responses }) => {
          if (responses.length !== messages.length) {
            throw new UnavailableError(
              `the server made ${responses.length} decisions on ${messages.length} requests`,
            );
          }
          responses.forEach((each, at) => checkAnswer(each, messages[at]));
        },
      });
      return answer.responses.map((each) => decisionOf(each));
    };
    const deny = (failure: UnavailableError) =>
      messages.map((each) => denialOf(failure, each.requestId));
    return traced(
      "DecideBatch",
      options,
      (trace) => orDeny(send(trace), options, deny),
      (decisions) => decisions,
    );
  }

  openText(request: AnyRequest = {}, options: TextStreamOptions = {}): TextStream {
    const message = this.#prepare(request);
    message.direction ||= "output";
    const timeoutMs = checkTimeout(options.timeoutMs ?? this.#timeoutMs);
    const open = async () => {
      const headers = { ...requestHeader(message.requestId), ...traceOf(options) };
      return this.#connections.open(DecideService.method.decideStream, {
        timeoutMs,
        headers: async () => ({ ...headers, ...(await this.#credential()) }),
      });
    };
    const decide = (whole: DecideRequest) =>
      this.decide(whole, { timeoutMs, ...traceOf(options), onUnavailable: "throw" });
    return new TextStream(message, { ...options, timeoutMs }, this.hasStreams ? open : decide);
  }

  async *filterText(
    chunks: AsyncIterable<string> | Iterable<string>,
    request: AnyRequest = {},
    options: TextStreamOptions = {},
  ): AsyncGenerator<string, void, undefined> {
    const stream = this.openText(request, options);
    try {
      for await (const chunk of chunks) {
        const released = await stream.push(chunk);
        if (released) yield released;
      }
      const rest = await stream.end();
      if (rest) yield rest;
    } finally {
      stream.cancel();
    }
  }

  async simulate(
    request: AnyRequest,
    overlay?: Overlay,
    options: CallOptions = {},
  ): Promise<Simulation> {
    const message = create(SimulateRequestSchema, {
      request: this.#prepare(request),
      ...(overlay && {
        overlay: create(OverlaySchema, { policies: overlay.policies as never }),
      }),
    });
    const send = async (trace: Record<string, string>) => {
      const raw = await this.#connections.send(SimulateService.method.simulate, message, {
        ...this.#sendOptions(options, { ...trace, ...requestHeader(newId()) }),
        repeatable: true,
        check: ({ decision }) => {
          if (!decision) throw new UnavailableError("the answer has no decision");
          checkAnswer(decision, undefined);
        },
      });
      const { decision, layers, warnings } = raw;
      if (!decision) throw new UnavailableError("the answer has no decision");
      return { decision: decisionOf(decision), layers, warnings, raw };
    };
    return traced("Simulate", options, send, ({ decision }) => [decision]);
  }

  close(): void {
    this.#connections.close();
  }

  /** Returns the message of a request, with an id and the tenant of the client. */
  #prepare(request: AnyRequest): DecideRequest {
    const message = requestMessage(request);
    message.requestId ||= newId();
    message.tenantId ||= this.#tenant;
    return message;
  }

  #sendOptions(options: CallOptions, headers: Record<string, string>) {
    return {
      timeoutMs: checkTimeout(options.timeoutMs ?? this.#timeoutMs),
      signal: options.signal,
      headers: async () => ({ ...headers, ...(await this.#credential()) }),
    };
  }
}

function newId(): string {
  return globalThis.crypto.randomUUID();
}

/** Returns the id as a header, if it can be one. */
function requestHeader(id: string): Record<string, string> {
  return /^[\x21-\x7e]{1,256}$/.test(id) ? { "x-request-id": id } : {};
}

function traceOf({ traceparent, tracestate }: TraceContext): Record<string, string> {
  return { ...(traceparent && { traceparent }), ...(tracestate && { tracestate }) };
}

function checkTimeout(timeoutMs: number): number {
  // setTimeout takes longer times for 1 ms.
  if (timeoutMs > 0 && timeoutMs < 2 ** 31) return timeoutMs;
  throw new RangeError(`timeoutMs: ${timeoutMs} is not between 0 and 2^31`);
}

/** Throws if an answer cannot be used as a decision. */
function checkAnswer(response: DecideResponse, request: DecideRequest | undefined): void {
  const problem = contradictionIn(response, request);
  if (problem) throw new UnavailableError(`the answer of the server is malformed: ${problem}`);
}

async function orDeny<T>(
  work: Promise<T>,
  { onUnavailable }: DecideOptions,
  deny: (failure: UnavailableError) => T,
): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof UnavailableError && onUnavailable !== "throw") return deny(error);
    throw error;
  }
}
