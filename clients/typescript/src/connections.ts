/** Sends calls to several addresses: in turn, with retries, and not to those that fail. */

import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { CallContext, Endpoint, Exchange, UnaryMethod } from "./endpoint.js";
import { CallError, NO_ANSWER, UnavailableError } from "./errors.js";
import { CircuitBreaker, pauseMs, RetryBudget, type Resilience } from "./resilience.js";

interface Member {
  readonly endpoint: Endpoint;
  readonly breaker: CircuitBreaker;
}

/** The options of one call. */
export interface SendOptions {
  /** The longest time of the call, with connecting and retries, in milliseconds. */
  readonly timeoutMs: number;
  /** Returns the headers. It is a part of the call. */
  readonly headers: () => Promise<Record<string, string>>;
  /** Whether the request may be sent twice. If not, it is retried only if it was not sent. */
  readonly repeatable: boolean;
  /** Ends the call; its reason is then the error of the call. */
  readonly signal?: AbortSignal | undefined;
  /** Throws if an answer cannot be used. */
  readonly check?: (answer: never) => void;
}

/** The connections of a client. */
export class Connections {
  readonly #members: readonly Member[];
  readonly #settings: Resilience;
  readonly #budget: RetryBudget;
  #next = 0;
  #waiting = 0;
  #closed = false;

  constructor(endpoints: readonly Endpoint[], settings: Resilience, now?: () => number) {
    this.#settings = settings;
    this.#budget = new RetryBudget(settings);
    this.#members = endpoints.map((endpoint) => ({
      endpoint,
      breaker: new CircuitBreaker(settings, now),
    }));
  }

  /** Whether texts can be judged in chunks. */
  get hasStreams(): boolean {
    return this.#members.every(({ endpoint }) => endpoint.open !== undefined);
  }

  /** Calls a method, and returns its answer. */
  async send<I extends DescMessage, O extends DescMessage>(
    method: UnaryMethod<I, O>,
    request: MessageShape<I>,
    options: SendOptions & { readonly check?: (answer: MessageShape<O>) => void },
  ): Promise<MessageShape<O>> {
    this.#enter();
    const limit = new TimeLimit(options.timeoutMs, options.signal);
    try {
      const headers = await limit.within(options.headers());
      const context = { headers, deadline: limit.deadline, signal: limit.signal };
      for (let attempt = 1; ; attempt++) {
        try {
          const answer = await this.#attempt(method, request, context, options.check);
          this.#budget.add();
          return answer;
        } catch (error) {
          if (attempt >= this.#settings.maxAttempts || !this.#retries(error, options)) throw error;
          await limit.within(sleep(pauseMs(this.#settings, attempt - 1), limit.signal));
        }
      }
    } finally {
      limit.clear();
      this.#waiting--;
    }
  }

  /** Opens a stream to one of the addresses. */
  async open<I extends DescMessage, O extends DescMessage>(
    method: UnaryMethod<I, O>,
    options: { timeoutMs: number; headers: () => Promise<Record<string, string>> },
  ): Promise<Exchange<MessageShape<I>, MessageShape<O>>> {
    this.#enter();
    const limit = new TimeLimit(options.timeoutMs, undefined);
    try {
      const headers = await limit.within(options.headers());
      const { endpoint, breaker } = await this.#pick(limit.signal);
      const { signal } = new AbortController();
      const exchange = endpoint.open?.(method, { headers, deadline: undefined, signal });
      if (!exchange) throw new UnavailableError("this transport has no streams");
      return new ReportingExchange(exchange, { endpoint, breaker });
    } finally {
      limit.clear();
      this.#waiting--;
    }
  }

  /** Closes all connections. Later calls fail. */
  close(): void {
    this.#closed = true;
    for (const { endpoint } of this.#members) endpoint.close();
  }

  #enter(): void {
    if (this.#closed) throw new UnavailableError("the client is closed", { mayHaveArrived: false });
    if (this.#waiting >= this.#settings.maxWaiting) {
      const message = `${this.#waiting} calls wait for an answer already`;
      throw new UnavailableError(message, { mayHaveArrived: false });
    }
    this.#waiting++;
  }

  async #attempt<I extends DescMessage, O extends DescMessage>(
    method: UnaryMethod<I, O>,
    request: MessageShape<I>,
    context: CallContext,
    check?: (answer: MessageShape<O>) => void,
  ): Promise<MessageShape<O>> {
    const member = await this.#pick(context.signal);
    try {
      const answer = await member.endpoint.call(method, request, context);
      check?.(answer);
      member.breaker.succeed();
      return answer;
    } catch (error) {
      report(member, error);
      throw error;
    }
  }

  #retries(error: unknown, { repeatable }: SendOptions): boolean {
    if (!(error instanceof UnavailableError) || error.code !== "UNAVAILABLE") return false;
    return (repeatable || !error.mayHaveArrived) && this.#budget.take();
  }

  /** Returns a connection that is ready. If there is none, connects to all addresses at once. */
  async #pick(signal: AbortSignal): Promise<Member> {
    const members = this.#inTurn();
    const ready = members.find(({ endpoint, breaker }) => endpoint.isReady() && breaker.admit());
    if (ready) return ready;
    const admitted = members.filter(({ breaker }) => breaker.admit());
    if (admitted.length === 0) {
      const addresses = members.map(({ endpoint }) => endpoint.address).join(", ");
      throw new UnavailableError(`${addresses} failed too often; it is tried again later`, {
        mayHaveArrived: false,
      });
    }
    const stop = new AbortController();
    const abort = () => stop.abort(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    try {
      signal.throwIfAborted();
      const winner = await Promise.any(admitted.map((each) => connect(each, stop.signal)));
      for (const each of admitted) if (each !== winner) each.breaker.release();
      return winner;
    } catch (error) {
      for (const each of admitted) each.breaker.release();
      throw error instanceof AggregateError ? error.errors[0] : error;
    } finally {
      signal.removeEventListener("abort", abort);
      stop.abort(GIVEN_UP);
    }
  }

  #inTurn(): Member[] {
    const first = this.#next++ % this.#members.length;
    return [...this.#members.slice(first), ...this.#members.slice(0, first)];
  }
}

const GIVEN_UP = new UnavailableError("another address was faster", { mayHaveArrived: false });

async function connect(member: Member, signal: AbortSignal): Promise<Member> {
  try {
    await member.endpoint.connect(signal);
    return member;
  } catch (error) {
    if (error !== GIVEN_UP) report(member, error);
    throw error;
  }
}

/** Tells the breaker what an error says about the server. */
function report({ endpoint, breaker }: Member, error: unknown): void {
  if (!(error instanceof CallError)) breaker.release();
  else if (!(error instanceof UnavailableError) || error.fromServer) breaker.succeed();
  // The connection may be half-open: the next call gets a new one.
  else if (breaker.fail() && error.code === "DEADLINE_EXCEEDED") endpoint.reset();
}

/** An exchange that tells the breaker of its address how it goes. */
class ReportingExchange<I, O> implements Exchange<I, O> {
  constructor(
    private readonly exchange: Exchange<I, O>,
    private readonly member: Member,
  ) {}

  async send(message: I): Promise<O> {
    try {
      const answer = await this.exchange.send(message);
      this.member.breaker.succeed();
      return answer;
    } catch (error) {
      report(this.member, error);
      throw error;
    }
  }

  close(): void {
    this.exchange.close();
  }

  cancel(): void {
    this.exchange.cancel();
    this.member.breaker.release();
  }
}

/** Ends a call when its time is over or its caller gives it up. */
export class TimeLimit {
  readonly deadline: Date;
  readonly #controller = new AbortController();
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #caller: AbortSignal | undefined;
  readonly #giveUp = () => this.#controller.abort(this.#caller?.reason);

  constructor(timeoutMs: number, caller: AbortSignal | undefined) {
    this.deadline = new Date(Date.now() + timeoutMs);
    this.#caller = caller;
    this.#timer = setTimeout(() => {
      this.#controller.abort(new UnavailableError(NO_ANSWER, { code: "DEADLINE_EXCEEDED" }));
    }, timeoutMs);
    if (caller?.aborted) this.#giveUp();
    caller?.addEventListener("abort", this.#giveUp, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Returns the result of some work; fails if the time is over first. */
  within<T>(work: Promise<T>): Promise<T> {
    return abortable(work, this.signal);
  }

  /** Ends the limit. Every limit must be cleared. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#caller?.removeEventListener("abort", this.#giveUp);
  }
}

/** Returns the result of some work; fails with the reason of the signal if that comes first. */
export function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  });
}
