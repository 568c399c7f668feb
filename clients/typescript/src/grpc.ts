/** Connections over gRPC. */

import { readFileSync } from "node:fs";
import {
  fromBinary,
  toBinary,
  type DescMessage,
  type MessageShape,
} from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import { checkAddress, isLocal } from "./addresses.js";
import { abortable } from "./connections.js";
import type { CallContext, Endpoint, Exchange, UnaryMethod } from "./endpoint.js";
import { errorOf, invalidRequest, UnavailableError, type CallError } from "./errors.js";
import { readStatusDetails } from "./status-details.js";

/** The files and names of TLS. */
export interface TlsOptions {
  /** A PEM file with the CA certificates to trust; by default the public ones. */
  readonly caFile?: string;
  /** A PEM file with a client certificate, if the server requires one. */
  readonly certFile?: string;
  /** A PEM file with the key of the client certificate. */
  readonly keyFile?: string;
  /** The name in the server's certificate, if it differs from the address. */
  readonly serverName?: string;
}

/** How connections are secured. */
export interface SecurityOptions {
  /** TLS; `true` for its defaults. Without it, addresses of other machines have TLS, too. */
  readonly tls?: boolean | TlsOptions;
  /** Whether an address of another machine is called without TLS. */
  readonly plaintext?: boolean;
}

/**
 * Returns the credentials of a channel.
 *
 * @throws Error - a file cannot be read, or is not what it should be.
 */
function channelCredentials(address: string, security: SecurityOptions): grpc.ChannelCredentials {
  const { tls, plaintext } = security;
  if (tls && plaintext) throw new TypeError("set tls or plaintext, not both");
  if (!tls && (plaintext || isLocal(address))) return grpc.credentials.createInsecure();
  if (tls === false) {
    throw new TypeError(`${address} is not of this machine: set plaintext to call it without TLS`);
  }
  const { caFile, certFile, keyFile } = typeof tls === "object" ? tls : {};
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw new TypeError("tls: set both certFile and keyFile, or neither");
  }
  const [ca, key, cert] = [caFile, keyFile, certFile].map((file) =>
    file === undefined ? null : readFileSync(file),
  );
  if (ca && !ca.includes("-----BEGIN")) {
    throw new TypeError(`tls: ${caFile} has no certificate in PEM form`);
  }
  return grpc.credentials.createSsl(ca, key, cert);
}

/** The connection to one address over gRPC. It connects at the first call. */
export class GrpcEndpoint implements Endpoint {
  readonly address: string;
  readonly #credentials: grpc.ChannelCredentials;
  readonly #options: grpc.ChannelOptions;
  #client: grpc.Client;
  /** Whether the server said at the last check that it serves, or has no such checks. */
  #serves = true;
  #check: Promise<void> | undefined;
  #checkAt = 0;

  constructor(address: string, security: SecurityOptions) {
    checkAddress(address);
    this.address = address;
    this.#credentials = channelCredentials(address, security);
    this.#options = optionsOf(security);
    this.#client = this.#newClient();
  }

  isReady(): boolean {
    if (this.#state() !== grpc.connectivityState.READY) return false;
    // The check is not awaited. A stream that watches would keep the program from ending.
    if (performance.now() >= this.#checkAt) void this.#checkHealth();
    return this.#serves;
  }

  async connect(signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      const state = this.#state();
      if (state === grpc.connectivityState.READY) {
        if (!this.#serves) await abortable(this.#checkHealth(), signal);
        if (this.#serves) return;
        const message = `${this.address} says that it does not serve`;
        throw new UnavailableError(message, { code: "UNAVAILABLE", mayHaveArrived: false });
      }
      if (state === grpc.connectivityState.TRANSIENT_FAILURE) throw await this.#reason(signal);
      await abortable(this.#change(state), signal);
    }
  }

  call<I extends DescMessage, O extends DescMessage>(
    method: UnaryMethod<I, O>,
    request: MessageShape<I>,
    context: CallContext,
  ): Promise<MessageShape<O>> {
    return new Promise((resolve, reject) => {
      context.signal.throwIfAborted();
      const call = this.#client.makeUnaryRequest(
        pathOf(method),
        (bytes: Buffer) => bytes,
        (bytes) => fromBinary(method.output, bytes),
        bytesOf(method.input, request),
        metadataOf(context.headers),
        context.deadline ? { deadline: context.deadline } : {},
        (error, answer) => {
          context.signal.removeEventListener("abort", abort);
          if (error) reject(callErrorOf(error));
          else if (answer === undefined) reject(new UnavailableError("the answer is empty"));
          else resolve(answer);
        },
      );
      const abort = () => {
        reject(context.signal.reason);
        call.cancel();
      };
      context.signal.addEventListener("abort", abort, { once: true });
    });
  }

  open<I extends DescMessage, O extends DescMessage>(
    method: UnaryMethod<I, O>,
    context: CallContext,
  ): Exchange<MessageShape<I>, MessageShape<O>> {
    return new GrpcExchange(
      this.#client.makeBidiStreamRequest(
        pathOf(method),
        (message: MessageShape<I>) => Buffer.from(toBinary(method.input, message)),
        (bytes) => fromBinary(method.output, bytes),
        metadataOf(context.headers),
        {},
      ),
    );
  }

  reset(): void {
    this.#client.close();
    this.#client = this.#newClient();
    this.#serves = true;
    this.#check = undefined;
  }

  close(): void {
    this.#client.close();
  }

  #newClient(): grpc.Client {
    return new grpc.Client(this.address, this.#credentials, this.#options);
  }

  #state(): grpc.connectivityState {
    return this.#client.getChannel().getConnectivityState(true);
  }

  /** Waits until the connection has another state. */
  #change(state: grpc.connectivityState): Promise<void> {
    return new Promise((resolve) => {
      const latest = new Date(Date.now() + WATCH_MS);
      this.#client.getChannel().watchConnectivityState(state, latest, () => resolve());
    });
  }

  /** Asks the server whether it serves; one call at a time. */
  #checkHealth(): Promise<void> {
    const client = this.#client;
    this.#check ??= healthOf(client).then(({ serves }) => {
      if (client !== this.#client) return; // this is about a connection that was replaced
      this.#serves = serves;
      this.#check = undefined;
      this.#checkAt = performance.now() + CHECK_MS;
    });
    return this.#check;
  }

  /** Returns why there is no connection. Only a call knows; this one decides nothing. */
  async #reason(signal: AbortSignal): Promise<CallError> {
    const { details } = await abortable(healthOf(this.#client), signal);
    const message = `cannot connect to ${this.address}${details && `: ${details}`}`;
    return new UnavailableError(message, { code: "UNAVAILABLE", mayHaveArrived: false });
  }
}

/** How long a change of a connection is awaited before it is looked at again. */
const WATCH_MS = 1000;

/** How long the result of a check of the health of a server is used. */
const CHECK_MS = 1000;

interface Health {
  /** Whether the server serves. One that does not answer, or has no such checks, counts as such. */
  readonly serves: boolean;
  /** Why there is no answer; empty if there is one. */
  readonly details: string;
}

/** Asks a server for its health (`grpc.health.v1`). It never fails. */
function healthOf(client: grpc.Client): Promise<Health> {
  const deadline = new Date(Date.now() + WATCH_MS);
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      "/grpc.health.v1.Health/Check",
      (message: Buffer) => message,
      (bytes) => bytes,
      Buffer.alloc(0),
      { deadline },
      (error, answer) =>
        resolve({
          serves: error !== null || answer === undefined || answer.equals(SERVING),
          details: error?.details ?? "",
        }),
    );
  });
}

/** The answer of a server that serves: its field `status` is 1. */
const SERVING = Buffer.from([0x08, 0x01]);

class GrpcExchange<I, O> implements Exchange<I, O> {
  readonly #waiting: { resolve: (answer: O) => void; reject: (error: unknown) => void }[] = [];
  #failure: CallError | undefined;

  constructor(private readonly stream: grpc.ClientDuplexStream<I, O>) {
    stream.on("data", (answer: O) => {
      const first = this.#waiting.shift();
      if (first) first.resolve(answer);
      else this.#fail(new UnavailableError("the server sent an answer to nothing"));
    });
    stream.on("error", (error: grpc.ServiceError) => this.#fail(callErrorOf(error)));
    stream.on("end", () => this.#fail(new UnavailableError("the server ended the stream")));
  }

  send(message: I): Promise<O> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.stream.write(message);
    });
  }

  close(): void {
    this.stream.end();
  }

  cancel(): void {
    this.stream.cancel();
  }

  #fail(failure: CallError): void {
    this.#failure ??= failure;
    for (const each of this.#waiting.splice(0)) each.reject(this.#failure);
  }
}

/** Returns a message as bytes; a message that cannot be written is the caller's fault. */
function bytesOf<I extends DescMessage>(schema: I, message: MessageShape<I>): Buffer {
  try {
    return Buffer.from(toBinary(schema, message));
  } catch (error) {
    throw invalidRequest("request", error instanceof Error ? error.message : String(error));
  }
}

function pathOf(method: { name: string; parent: { typeName: string } }): string {
  return `/${method.parent.typeName}/${method.name}`;
}

function metadataOf(headers: Readonly<Record<string, string>>): grpc.Metadata {
  const metadata = new grpc.Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return metadata;
}

function callErrorOf(error: grpc.ServiceError): CallError {
  const [bytes] = error.metadata?.get("grpc-status-details-bin") ?? [];
  const details = typeof bytes === "object" ? readStatusDetails(bytes) : {};
  const code = grpc.status[error.code] ?? "UNKNOWN";
  return errorOf(code, error.details || "the call failed", { ...details, cause: error });
}

function optionsOf({ tls }: SecurityOptions): grpc.ChannelOptions {
  const serverName = typeof tls === "object" ? tls.serverName : undefined;
  return {
    // The response to a large batch can exceed the default limit of 4 MiB.
    "grpc.max_receive_message_length": -1,
    // By default, even local calls go through the proxy in the environment.
    "grpc.enable_http_proxy": 0,
    // A new channel gets a new connection; by default it shares those that are open.
    "grpc.use_local_subchannel_pool": 1,
    // `Connections` retries, within a budget.
    "grpc.enable_retries": 0,
    // A name can stand for several addresses.
    "grpc.service_config": JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
    // The server accepts a ping every 10 s.
    "grpc.keepalive_time_ms": 20_000,
    "grpc.keepalive_timeout_ms": 5_000,
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 2_000,
    ...(serverName && {
      "grpc.ssl_target_name_override": serverName,
      "grpc.default_authority": serverName,
    }),
  };
}
