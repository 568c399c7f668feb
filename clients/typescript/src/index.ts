/** The client of the policy decision point. */

import { BaseClient, type CommonOptions } from "./client.js";
import { GrpcEndpoint, type SecurityOptions } from "./grpc.js";

export * from "./core.js";
export { HttpClient, type HttpClientOptions } from "./http.js";
export type { SecurityOptions, TlsOptions } from "./grpc.js";

/** The options of a `Client`. */
export interface ClientOptions extends CommonOptions, SecurityOptions {}

/**
 * A client over gRPC. Create it once and reuse it: it connects at the first call, and reconnects.
 *
 * Addresses of this machine are called without TLS unless `tls` is set; all others with TLS unless
 * `plaintext` is set.
 */
export class Client extends BaseClient {
  /**
   * @param address - `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`; several are used in turn.
   * @param options - the credential, TLS, the tenant and so on.
   * @throws Error - an address is not one, a file of TLS cannot be read, or options contradict.
   */
  constructor(address: string | readonly string[], options: ClientOptions = {}) {
    const addresses = typeof address === "string" ? [address] : address;
    super(
      addresses.map((each) => new GrpcEndpoint(each, options)),
      options,
    );
  }
}
