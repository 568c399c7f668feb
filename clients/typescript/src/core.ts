/** What the clients of all transports export. */

export type {
  CallOptions,
  CommonOptions,
  DecideOptions,
  Overlay,
  PolicyClient,
  Simulation,
} from "./client.js";
export type { Credentials } from "./credentials.js";
export {
  Approval,
  Prompt,
  type Decision,
  type Obligations,
  type Outcome,
  type Redaction,
  type Route,
} from "./decision.js";
export {
  DeniedError,
  enforce,
  HeldError,
  NotPermittedError,
  Permit,
  resume,
  type ConfirmationOptions,
} from "./enforcement.js";
export {
  CallError,
  PDP_UNAVAILABLE,
  UnavailableError,
  type CallErrorDetails,
  type FieldViolation,
} from "./errors.js";
export {
  DecideRequestSchema,
  DecideResponseSchema,
  type DecideRequest,
  type DecideResponse,
  type Match,
  type PolicyWarning,
  type Risk,
} from "./gen/pdp/v1/decide_pb.js";
export type { LayerResult, SimulateResponse } from "./gen/pdp/v1/simulate_pb.js";
export { parseJson, stringifyJson, type JsonObject, type JsonValue } from "./json.js";
export { redactArguments, redactText, type Span } from "./redaction.js";
export type {
  AnyRequest,
  DecisionRequest,
  Entity,
  ModelName,
  Payload,
  PayloadFormat,
  Subject,
  Target,
  Usage,
} from "./request.js";
export type { Resilience } from "./resilience.js";
export type { TraceContext } from "./telemetry.js";
export { TextStream, type TextStreamOptions } from "./text-stream.js";
