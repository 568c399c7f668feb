/** A small server of gRPC whose answers a test controls. */

import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import {
  DecideBatchRequestSchema,
  DecideBatchResponseSchema,
  DecideRequestSchema,
  DecideResponseSchema,
  DecideStreamRequestSchema,
  DecideStreamResponseSchema,
  Outcome,
  type DecideBatchRequest,
  type DecideRequest,
  type DecideStreamRequest,
} from "#internal/gen/pdp/v1/decide_pb";

type ResponseInit = MessageInitShape<typeof DecideResponseSchema>;
type BatchInit = MessageInitShape<typeof DecideBatchResponseSchema>;
type StreamInit = MessageInitShape<typeof DecideStreamResponseSchema>;

/** What the server does with a request: an answer, the bytes of one, an error, or no answer. */
export type Action = ResponseInit | Buffer | Partial<grpc.StatusObject> | undefined;

/** The answer that lets a request pass. */
export function allow(request: DecideRequest, more: ResponseInit = {}): ResponseInit {
  const { requestId } = request;
  return { requestId, outcome: Outcome.ALLOW, allowed: true, ...more } as ResponseInit;
}

/** The server. Replace its members to change what it does. */
export class FakeServer {
  /** What it does with a request. */
  onDecide: (request: DecideRequest) => Action = (request) => allow(request);
  /** What it does with a batch. */
  onBatch: (request: DecideBatchRequest) => BatchInit = ({ requests }) => ({
    responses: requests.map((each) => allow(each)),
  });
  /** What it does with a message of a stream. */
  onStream: (message: DecideStreamRequest) => StreamInit | undefined = () => undefined;
  /** The requests that have arrived. */
  readonly requests: DecideRequest[] = [];
  /** The metadata of the calls that have arrived. */
  readonly metadata: grpc.Metadata[] = [];
  /** The deadlines of the calls that have arrived. */
  readonly deadlines: grpc.Deadline[] = [];
  /** What it says of its health; it starts without such checks if undefined. */
  serves: boolean | undefined;
  address = "";
  #server: grpc.Server | undefined;
  #arrivals: (() => void)[] = [];
  #checks: (() => void)[] = [];

  /** Starts the server on a free port, or on the port that it had before. */
  async start(credentials = grpc.ServerCredentials.createInsecure()): Promise<this> {
    const server = new grpc.Server();
    server.addService(DEFINITION, {
      decide: (
        call: grpc.ServerUnaryCall<DecideRequest, Buffer>,
        done: grpc.sendUnaryData<Buffer>,
      ) => {
        this.requests.push(call.request);
        this.metadata.push(call.metadata);
        this.deadlines.push(call.getDeadline());
        const action = this.onDecide(call.request);
        for (const each of this.#arrivals.splice(0)) each();
        if (action === undefined) return;
        if (Buffer.isBuffer(action)) done(null, action);
        else if ("code" in action) done(action as grpc.StatusObject);
        else done(null, bytesOf(DecideResponseSchema, action as ResponseInit));
      },
      decideBatch: (
        call: grpc.ServerUnaryCall<DecideBatchRequest, Buffer>,
        done: grpc.sendUnaryData<Buffer>,
      ) => done(null, bytesOf(DecideBatchResponseSchema, this.onBatch(call.request))),
      decideStream: (call: grpc.ServerDuplexStream<DecideStreamRequest, Buffer>) => {
        this.metadata.push(call.metadata);
        call.on("data", (message: DecideStreamRequest) => {
          const answer = this.onStream(message);
          for (const each of this.#arrivals.splice(0)) each();
          if (answer) call.write(bytesOf(DecideStreamResponseSchema, answer));
        });
        call.on("end", () => call.end());
      },
    });
    if (this.serves !== undefined) {
      server.addService(HEALTH, {
        check: (_: unknown, done: grpc.sendUnaryData<Buffer>) => {
          done(null, Buffer.from([0x08, this.serves ? 1 : 2]));
          for (const each of this.#checks.splice(0)) each();
        },
      });
    }
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(this.address || "127.0.0.1:0", credentials, (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    this.address = `127.0.0.1:${port}`;
    this.#server = server;
    return this;
  }

  /** Resolves when the next message arrives. */
  arrival(): Promise<void> {
    return new Promise((resolve) => this.#arrivals.push(resolve));
  }

  /** Resolves when the next check of its health arrives. */
  check(): Promise<void> {
    return new Promise((resolve) => this.#checks.push(resolve));
  }

  /** Ends the server at once. */
  stop(): void {
    this.#server?.forceShutdown();
  }
}

type Responses =
  | typeof DecideResponseSchema
  | typeof DecideBatchResponseSchema
  | typeof DecideStreamResponseSchema;

function bytesOf<S extends Responses>(schema: S, init: MessageInitShape<S>): Buffer {
  return Buffer.from(toBinary(schema, create(schema, init)));
}

const SAME = (bytes: Buffer) => bytes;

function method(
  name: string,
  stream: boolean,
  read: (bytes: Buffer) => unknown,
  service = "pdp.v1.DecideService",
) {
  return {
    path: `/${service}/${name}`,
    requestStream: stream,
    responseStream: stream,
    requestSerialize: SAME,
    requestDeserialize: read,
    responseSerialize: SAME,
    responseDeserialize: SAME,
  };
}

const HEALTH: grpc.ServiceDefinition = {
  check: method("Check", false, SAME, "grpc.health.v1.Health"),
};

const DEFINITION: grpc.ServiceDefinition = {
  decide: method("Decide", false, (bytes) => fromBinary(DecideRequestSchema, bytes)),
  decideBatch: method("DecideBatch", false, (bytes) => fromBinary(DecideBatchRequestSchema, bytes)),
  decideStream: method("DecideStream", true, (bytes) =>
    fromBinary(DecideStreamRequestSchema, bytes),
  ),
};
