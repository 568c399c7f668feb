/** A text that is judged in chunks: what goes in, and what may go out. */

import { clone, create } from "@bufbuild/protobuf";
import { TimeLimit } from "./connections.js";
import { contradictionIn, decisionOf, denialOf, type Decision } from "./decision.js";
import type { Exchange } from "./endpoint.js";
import { CallError, UnavailableError } from "./errors.js";
import { DeniedError, enforce, problemOf } from "./enforcement.js";
import {
  ContentSchema,
  DecideRequestSchema,
  DecideStreamRequestSchema,
  ObligationType,
  StreamChunkSchema,
  type DecideRequest,
  type DecideStreamRequest,
  type DecideStreamResponse,
} from "./gen/pdp/v1/decide_pb.js";
import type { TraceContext } from "./telemetry.js";

/** The options of a text in chunks. */
export interface TextStreamOptions extends TraceContext {
  /** The longest time until the answer to one chunk, in milliseconds. */
  readonly timeoutMs?: number;
  /** What is thrown if there is no decision: by default a `DeniedError`. */
  readonly onUnavailable?: "deny" | "throw";
}

type StreamExchange = Exchange<DecideStreamRequest, DecideStreamResponse>;
type Open = () => Promise<StreamExchange>;
type Decide = (request: DecideRequest) => Promise<Decision>;

/** The longest text that a server takes, in bytes. */
const MAX_TEXT = 1 << 20;

/**
 * A text that is judged while it arrives.
 *
 * Send on what `push` and `end` return, and nothing else. If one of them throws, the rest of the
 * text must not go out. Without streams, as over HTTP, everything is released by `end`.
 */
export class TextStream {
  readonly #request: DecideRequest;
  readonly #options: TextStreamOptions & { readonly timeoutMs: number };
  readonly #connect: Open | Decide;
  #exchange: Promise<StreamExchange> | undefined;
  #opened: StreamExchange | undefined;
  #decision: Decision | undefined;
  #failure: unknown;
  #closed = false;
  #isFirst = true;
  /** Half of a surrogate pair at the end of the last chunk. */
  #half = "";
  /** The whole text, if there are no streams. */
  #whole: string | undefined;

  /** @internal */
  constructor(
    request: DecideRequest,
    options: TextStreamOptions & { readonly timeoutMs: number },
    connect: Open | Decide,
  ) {
    this.#request = request;
    this.#options = options;
    this.#connect = connect;
    if (connect.length > 0) this.#whole = "";
  }

  /** The decision on the text so far; undefined before the first one. */
  get decision(): Decision | undefined {
    return this.#decision;
  }

  /** Whether nothing more goes in. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Adds a chunk, and returns what may go out after what was returned before; it may be empty.
   *
   * @throws DeniedError - the rest of the text must not go out.
   * @throws CallError - the server refused the text.
   */
  push(chunk: string): Promise<string> {
    const text = this.#half + chunk;
    this.#half = /[\uD800-\uDBFF]$/.exec(text)?.[0] ?? "";
    return this.#send(this.#half ? text.slice(0, -1) : text, false);
  }

  /**
   * Ends the text, and returns what may go out of the rest.
   *
   * @param chunk - the last chunk.
   * @throws DeniedError - the rest of the text must not go out.
   * @throws CallError - the server refused the text.
   */
  async end(chunk = ""): Promise<string> {
    const text = this.#half + chunk;
    this.#half = "";
    const released = await this.#send(text, true);
    this.#closed = true;
    return released;
  }

  /** Gives the text up. What was not released does not go out. */
  cancel(): void {
    if (!this.#closed) this.#opened?.cancel();
    this.#closed = true;
  }

  async #send(text: string, last: boolean): Promise<string> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closed) throw new RangeError("the text has ended already");
    if (last) this.#closed = true;
    try {
      if (this.#whole !== undefined) return await this.#collect(text, last);
      return await this.#exchangeChunk(text, last);
    } catch (error) {
      this.#failure ??= this.#errorOf(error);
      this.#closed = true;
      this.#opened?.cancel();
      throw this.#failure;
    }
  }

  async #exchangeChunk(text: string, last: boolean): Promise<string> {
    const message = create(DecideStreamRequestSchema, {
      chunk: create(StreamChunkSchema, { text, last }),
      ...(this.#isFirst && { request: this.#request }),
    });
    this.#isFirst = false;
    const limit = new TimeLimit(this.#options.timeoutMs, undefined);
    try {
      this.#exchange ??= (this.#connect as Open)();
      this.#opened = await limit.within(this.#exchange);
      const answer = await limit.within(this.#opened.send(message));
      const released = this.#release(answer, last);
      if (last) this.#opened.close();
      return released;
    } finally {
      limit.clear();
    }
  }

  /** Returns what an answer releases; throws if it stops the text. */
  #release({ response, release }: DecideStreamResponse, last: boolean): string {
    if (!response) throw new UnavailableError("the answer of the server has no decision");
    const contradiction = contradictionIn(response, this.#request);
    if (contradiction) throw new UnavailableError(`the answer is malformed: ${contradiction}`);
    const decision = decisionOf(response);
    this.#decision = decision;
    if (!decision.allowed) {
      throw new DeniedError(decision, decision.message || "The text is not allowed.");
    }
    const problem = response.obligations.map(problemOf).find((each) => each !== "");
    if (problem) throw new DeniedError(decision, problem);
    const open = response.obligations.find((each) => !FULFILLED.has(each.type));
    if (open) {
      const name = ObligationType[open.type];
      throw new DeniedError(decision, `a text in chunks cannot fulfil the obligation ${name}`);
    }
    if (!release) throw new UnavailableError("the answer of the server releases no text");
    if (release.closed !== last) throw new UnavailableError("the server ended another text");
    return release.releasedText;
  }

  /** Collects the text, and decides on the whole when it has ended. */
  async #collect(text: string, last: boolean): Promise<string> {
    this.#whole += text;
    if ((this.#whole?.length ?? 0) > MAX_TEXT) {
      throw new UnavailableError(`the text has more than ${MAX_TEXT} bytes`);
    }
    if (this.#request.payload) {
      throw new CallError("UNIMPLEMENTED", "this transport has no streams of events");
    }
    if (!last) return "";
    const request = clone(DecideRequestSchema, this.#request);
    request.content = create(ContentSchema, { text: this.#whole?.toWellFormed() ?? "" });
    const decision = await (this.#connect as Decide)(request);
    this.#decision = decision;
    const permit = enforce(request, decision);
    return permit.text;
  }

  #errorOf(error: unknown): unknown {
    const denies = this.#options.onUnavailable !== "throw";
    if (!(error instanceof UnavailableError) || !denies) return error;
    this.#decision = denialOf(error, this.#request.requestId);
    return new DeniedError(this.#decision, this.#decision.message);
  }
}

/** What a released text has fulfilled already, or what does not concern it. */
const FULFILLED: ReadonlySet<ObligationType> = new Set([
  ObligationType.REDACT,
  ObligationType.ROUTE_TO,
]);
