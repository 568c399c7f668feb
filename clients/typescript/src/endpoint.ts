/** What a transport provides: connections to servers, and calls on them. */

import type { DescMessage, MessageShape } from "@bufbuild/protobuf";

/** A method of the server with one request and one response. */
export interface UnaryMethod<I extends DescMessage, O extends DescMessage> {
  readonly name: string;
  readonly parent: { readonly typeName: string };
  readonly input: I;
  readonly output: O;
}

/** What belongs to one call. */
export interface CallContext {
  /** Metadata or HTTP headers. */
  readonly headers: Readonly<Record<string, string>>;
  /** When the call ends at the latest; undefined for a stream. */
  readonly deadline: Date | undefined;
  /** Ends the call; its reason is the error of the call. */
  readonly signal: AbortSignal;
}

/** A stream of messages in both directions. Each message gets one response, in order. */
export interface Exchange<I, O> {
  /** Sends a message, and returns the response to it. */
  send(message: I): Promise<O>;
  /** Says that no more messages follow. */
  close(): void;
  /** Ends the stream at once. */
  cancel(): void;
}

/** The connection to one address. Calls fail with `CallError`. */
export interface Endpoint {
  /** The address, for messages. */
  readonly address: string;
  /** Whether a call needs no new connection. */
  isReady(): boolean;
  /** Connects if there is no connection; fails if that is not possible. */
  connect(signal: AbortSignal): Promise<void>;
  /** Calls a method. */
  call<I extends DescMessage, O extends DescMessage>(
    method: UnaryMethod<I, O>,
    request: MessageShape<I>,
    context: CallContext,
  ): Promise<MessageShape<O>>;
  /** Opens a stream; absent if the transport has none. */
  open?<I extends DescMessage, O extends DescMessage>(
    method: UnaryMethod<I, O>,
    context: CallContext,
  ): Exchange<MessageShape<I>, MessageShape<O>>;
  /** Replaces the connection, because it does not answer. */
  reset(): void;
  /** Closes the connection. */
  close(): void;
}
