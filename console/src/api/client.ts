/** Calls of the REST API. Everything that the console does goes through here. */
import { ApiError, errorOf } from "./errors";
import { OPERATIONS } from "./operations";
import type { AnswerOf, BodyOf, Operation, PathOf, QueryOf } from "./types";

/** How long a call may take, in milliseconds; streams and replays are not bounded. */
const TIMEOUT_MS = 30_000;

/** Who calls, and for which tenant. Empty strings are not sent. */
export interface Caller {
  readonly credential: string;
  readonly tenant: string;
}

export interface Options<O extends Operation> {
  readonly path?: PathOf<O>;
  readonly query?: Partial<QueryOf<O>>;
  readonly body?: BodyOf<O>;
  /** The `ETag` that the entity must still have. */
  readonly ifMatch?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds; 0 means no bound. */
  readonly timeout?: number;
}

export interface Answer<T> {
  readonly value: T;
  /** The `ETag` of the entity; empty if the answer has none. */
  readonly etag: string;
  /** The revision from which a write is in force; undefined for reads. */
  readonly revision: number | undefined;
}

/** The API of the server that served the page. */
export class Api {
  /**
   * @param caller returns who calls, at the time of each call
   * @param onUnauthenticated is called when the server does not accept the credential
   */
  constructor(
    private readonly caller: () => Caller,
    private readonly onUnauthenticated: (error: ApiError) => void,
  ) {}

  /** Calls an operation. Throws `ApiError` if it fails. */
  async call<O extends Operation>(operation: O, options: Options<O> = {}): Promise<AnswerOf<O>> {
    return (await this.send(operation, options)).value;
  }

  /** Calls an operation, and returns the headers that matter with its answer. */
  async send<O extends Operation>(
    operation: O,
    options: Options<O> = {},
  ): Promise<Answer<AnswerOf<O>>> {
    const response = await this.fetch(operation, options);
    const revision = response.headers.get("x-pdp-revision");
    return {
      value: (response.status === 204 ? undefined : await response.json()) as AnswerOf<O>,
      etag: response.headers.get("etag") ?? "",
      revision: revision === null ? undefined : Number(revision),
    };
  }

  /** Yields each JSON line of a streamed answer, until the stream or `signal` ends it. */
  async *lines<T, O extends Operation>(operation: O, options: Options<O> = {}): AsyncGenerator<T> {
    const response = await this.fetch(operation, { ...options, timeout: 0 });
    if (response.body === null) return;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        const parts = (rest + value).split("\n");
        rest = parts.pop() ?? "";
        for (const line of parts) if (line !== "") yield JSON.parse(line) as T;
      }
    } finally {
      await reader.cancel().catch(() => undefined);
    }
  }

  /** Returns the response to an operation as it is, for downloads. */
  async fetch<O extends Operation>(operation: O, options: Options<O>): Promise<Response> {
    const [method, template] = OPERATIONS[operation];
    const url = fillPath(template, options.path) + queryString(options.query);
    const timeout = options.timeout ?? TIMEOUT_MS;
    const signals = [options.signal, timeout > 0 ? AbortSignal.timeout(timeout) : undefined];
    const request: RequestInit = {
      method,
      headers: this.headers(options.body !== undefined, options.ifMatch),
      signal: AbortSignal.any(signals.filter((signal) => signal !== undefined)),
      credentials: "omit",
      cache: "no-store",
      referrerPolicy: "no-referrer",
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
    };
    const response = await fetch(url, request).catch((cause: unknown) => {
      throw failure(cause, options.signal);
    });
    if (response.ok) return response;
    const error = await errorOf(response);
    if (error.status === 401) this.onUnauthenticated(error);
    throw error;
  }

  private headers(hasBody: boolean, ifMatch: string | undefined): Record<string, string> {
    const { credential, tenant } = this.caller();
    return {
      accept: "application/json",
      ...(hasBody ? { "content-type": "application/json" } : {}),
      ...(credential === "" ? {} : { authorization: `Bearer ${credential}` }),
      ...(tenant === "" ? {} : { "x-tenant-id": tenant }),
      ...(ifMatch === undefined || ifMatch === "" ? {} : { "if-match": ifMatch }),
    };
  }
}

function failure(cause: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted === true) return signal.reason;
  const timedOut = cause instanceof DOMException && cause.name === "TimeoutError";
  const message = timedOut
    ? "The server did not answer in time. Try again."
    : "The server cannot be reached. Check that it runs, then try again.";
  return new ApiError(0, timedOut ? "TIMEOUT" : "UNREACHABLE", message);
}

/** Returns a path with its variables, each escaped. */
export function fillPath(template: string, variables: unknown): string {
  const values = (variables ?? {}) as Record<string, unknown>;
  return template.replace(/\{(\w+)\}/g, (_all, name: string) => {
    const value = values[name];
    if (value === undefined || value === "") throw new Error(`${template} needs ${name}`);
    return encodeURIComponent(String(value));
  });
}

/** Returns a query string with its question mark; lists repeat their name, unset values are left out. */
export function queryString(query: object | undefined): string {
  const pairs = Object.entries(query ?? {}).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value])
      .filter((one) => one !== undefined && one !== null && one !== "")
      .map((one) => [name, String(one)]),
  );
  return pairs.length === 0 ? "" : `?${new URLSearchParams(pairs).toString()}`;
}
