/**
 * A wrapper of the OpenAI SDK: it judges requests and answers of chat completions.
 *
 * It has `chat.completions.create` and nothing else, so that no call goes out unjudged.
 */

import type { DecideOptions, PolicyClient } from "./client.js";
import type { Decision } from "./decision.js";
import { DeniedError, enforce, type Permit } from "./enforcement.js";
import type { DecisionRequest } from "./request.js";

const FORMAT = "openai.chat_completions";

/** What the wrapper needs of the client of the SDK. */
export interface OpenAILike {
  /** The API of chats. */
  readonly chat: {
    /** The API of chat completions. */
    readonly completions: {
      /** Asks a model. The overloads of the SDK differ by version. */
      create: (...call: any[]) => any;
    };
  };
}

/** The part of the client of the SDK that is judged. */
export interface GuardedOpenAI<T extends OpenAILike> {
  /** The API of chats. */
  readonly chat: {
    /** The API of chat completions. */
    readonly completions: {
      /** Asks a model; the request and the answer are judged. */
      readonly create: Create<T>;
    };
  };
}

/** `chat.completions.create`, with the overloads of the SDK. */
export type Create<T extends OpenAILike> = T["chat"]["completions"]["create"];

/** The options of `guardOpenAI`. */
export interface OpenAIOptions {
  /** Who asks and so on; or a function that returns it for the body of each call. */
  readonly request?: DecisionRequest | ((body: Readonly<Record<string, unknown>>) => DecisionRequest);
  /** The provider that the client of the SDK calls; by default `openai`. */
  readonly provider?: string;
  /** Gets the warnings of a decision, to show them to the user. */
  readonly onWarnings?: (warnings: readonly string[]) => void;
  /** The options of each decision. `onUnavailable` is always `deny`. */
  readonly call?: Omit<DecideOptions, "onUnavailable">;
}

type Body = Readonly<Record<string, unknown>>;

/** A stream of the SDK. */
interface StreamLike extends AsyncIterable<unknown> {
  readonly controller: AbortController;
}

type StreamClass = new (iterate: () => AsyncIterator<unknown>, controller: AbortController) => unknown;

/**
 * Returns `chat.completions.create` of a client of the SDK, judged by the policies.
 *
 * The request is judged, redacted and routed before it goes out, and the answer before it comes
 * back. A stream yields its events when they are settled. If the request or the answer must not
 * pass, `create` or the stream throws `DeniedError` or `HeldError`; tokens of `resume` can be given
 * in `request`.
 */
export function guardOpenAI<T extends OpenAILike>(
  openai: T,
  client: PolicyClient,
  options: OpenAIOptions = {},
): GuardedOpenAI<T> {
  const guard = new Guard(openai, client, options);
  const create = (body: Body, ...rest: unknown[]) => answered(guard.create(body, rest));
  return { chat: { completions: { create: create as Create<T> } } };
}

/** Returns the promise with what the SDK has on it. */
function answered(answer: Promise<unknown>): Promise<unknown> {
  return Object.assign(answer, {
    asResponse: () =>
      Promise.reject(new TypeError("asResponse: the raw response is not judged; await the answer")),
    withResponse: () =>
      Promise.reject(new TypeError("withResponse: the raw response is not judged; await the answer")),
  });
}

class Guard {
  readonly #openai: OpenAILike;
  readonly #client: PolicyClient;
  readonly #options: OpenAIOptions;

  constructor(openai: OpenAILike, client: PolicyClient, options: OpenAIOptions) {
    this.#openai = openai;
    this.#client = client;
    this.#options = options;
  }

  async create(body: Body, rest: readonly unknown[]): Promise<unknown> {
    const about = this.#about(body);
    const permitted = await this.#permittedBody(body, about);
    if (!permitted["stream"]) return this.#complete(permitted, rest, about);
    if (this.#client.hasStreams) return this.#stream(permitted, rest, about);
    // Without streams of events, the whole answer is judged, and comes as one event.
    const { stream_options: _, ...whole } = permitted;
    const answer = await this.#complete({ ...whole, stream: false }, rest, about);
    const controller = new AbortController();
    const events = oneEvent(answer as Completion);
    return { controller, [Symbol.asyncIterator]: () => events } satisfies StreamLike;
  }

  #about(body: Body): DecisionRequest {
    const { request = {} } = this.#options;
    return typeof request === "function" ? request(body) : request;
  }

  /** Returns the body that may go out. */
  async #permittedBody(body: Body, about: DecisionRequest): Promise<Body> {
    const [permit, decision] = await this.#judge(body, about);
    const permitted = parseObject(permit.payload, decision);
    if (!permit.route) return permitted;
    const { provider = "openai" } = this.#options;
    if (permit.route.provider && permit.route.provider !== provider) {
      const target = `${permit.route.model} at ${permit.route.provider}`;
      throw new DeniedError(decision, `The request must go to ${target}, which is not ${provider}.`);
    }
    const prefix = `${provider}/`;
    const { model } = permit.route;
    return { ...permitted, model: model.startsWith(prefix) ? model.slice(prefix.length) : model };
  }

  async #complete(body: Body, rest: readonly unknown[], about: DecisionRequest): Promise<unknown> {
    const answer: unknown = await this.#openai.chat.completions.create(body, ...rest);
    const [permit, decision] = await this.#judge(answer, outputOf(about));
    if (permit.route) throw new DeniedError(decision, "An answer cannot go to another model.");
    return parseObject(permit.payload, decision);
  }

  async #judge(document: unknown, about: DecisionRequest): Promise<[Permit, Decision]> {
    const payload = { ...about.payload, format: FORMAT, body: JSON.stringify(document) };
    const request: DecisionRequest = { ...about, payload };
    const decision = await this.#client.decide(request, {
      ...this.#options.call,
      onUnavailable: "deny",
    });
    const permit = enforce(request, decision);
    if (permit.maskedFields.length) {
      throw new DeniedError(decision, "Fields must be masked, and a chat completion has none.");
    }
    if (permit.warnings.length) this.#options.onWarnings?.(permit.warnings);
    return [permit, decision];
  }

  async #stream(body: Body, rest: readonly unknown[], about: DecisionRequest): Promise<unknown> {
    const upstream = (await this.#openai.chat.completions.create(body, ...rest)) as StreamLike;
    const Stream = upstream.constructor as StreamClass;
    return new Stream(() => this.#events(upstream, about), upstream.controller);
  }

  /** Yields the events that may go out. */
  async *#events(upstream: StreamLike, about: DecisionRequest): AsyncGenerator<unknown> {
    const { timeoutMs, traceparent, tracestate } = this.#options.call ?? {};
    const options = {
      ...(timeoutMs !== undefined && { timeoutMs }),
      ...(traceparent !== undefined && { traceparent }),
      ...(tracestate !== undefined && { tracestate }),
    };
    const request = { ...outputOf(about), payload: { format: FORMAT, body: "" } };
    const events = new EventReader();
    try {
      for await (const text of this.#client.filterText(eventsOf(upstream), request, options)) {
        yield* events.read(text);
      }
    } finally {
      upstream.controller.abort();
    }
  }
}

/** Returns what is known of an answer: tokens and usage belong to the request. */
function outputOf({ tokens: _, usage: __, requestId: ___, ...about }: DecisionRequest) {
  return { ...about, direction: "output" } as const;
}

function parseObject(text: string, decision: Decision): Body {
  try {
    // The SDK has numbers, and no bigints.
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Body;
  } catch {
    // It is denied below.
  }
  throw new DeniedError(decision, "The redacted document is not a JSON object.");
}

/** Yields the events of a stream in the form in which the provider sends them. */
async function* eventsOf(stream: AsyncIterable<unknown>): AsyncGenerator<string> {
  for await (const event of stream) yield `data: ${JSON.stringify(event)}\n\n`;
  yield "data: [DONE]\n\n";
}

/** Reads events out of a text that arrives in pieces. */
class EventReader {
  #rest = "";

  *read(text: string): Generator<unknown> {
    const lines = (this.#rest + text).split(/\r?\n/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      const data = line.startsWith("data:") ? line.slice(5).trim() : "";
      if (data && data !== "[DONE]") yield JSON.parse(data);
    }
  }
}

interface Completion {
  readonly choices?: readonly { readonly message?: Message; readonly [name: string]: unknown }[];
  readonly [name: string]: unknown;
}

interface Message {
  readonly tool_calls?: readonly object[];
  readonly [name: string]: unknown;
}

/** Returns a stream with one event, which has the whole answer. */
async function* oneEvent(answer: Completion): AsyncGenerator<unknown> {
  const choices = (answer.choices ?? []).map(({ message, ...choice }) => ({
    ...choice,
    delta: message && {
      ...message,
      ...(message.tool_calls && {
        tool_calls: message.tool_calls.map((call, index) => ({ index, ...call })),
      }),
    },
  }));
  yield { ...answer, object: "chat.completion.chunk", choices };
}
