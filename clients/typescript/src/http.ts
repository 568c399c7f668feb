/** The client over the HTTP API, for runtimes without gRPC: it needs `fetch`. */

import { BaseClient, type CommonOptions } from "./client.js";
import { HttpEndpoint, type Fetch } from "./http-endpoint.js";

export * from "./core.js";
export type { Fetch } from "./http-endpoint.js";

/** The options of an `HttpClient`. */
export interface HttpClientOptions extends CommonOptions {
  /** Whether a server of another machine is called without TLS. */
  readonly plaintext?: boolean;
  /** The function that sends requests, for instance with a CA of your own; by default `fetch`. */
  readonly fetch?: Fetch;
}

/** A client over the HTTP API. Texts in chunks are judged at their end. */
export class HttpClient extends BaseClient {
  /**
   * @param url - the URL of the server, for instance `https://pdp.example`; several are used in
   * turn.
   * @param options - the credential, the tenant and so on.
   * @throws Error - a URL is not one, or `http` for another machine.
   */
  constructor(url: string | readonly string[], options: HttpClientOptions = {}) {
    const urls = typeof url === "string" ? [url] : url;
    const { plaintext = false, fetch = (...call) => globalThis.fetch(...call) } = options;
    super(
      urls.map((each) => new HttpEndpoint(each, { plaintext, fetch })),
      options,
    );
  }
}
