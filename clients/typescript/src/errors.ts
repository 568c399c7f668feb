/** The errors of calls. An error means that there is no decision, so nothing may go out. */

/** The reason code of a denial for which there was no decision. */
export const PDP_UNAVAILABLE = "PDP_UNAVAILABLE";

/** A field of a request that the server refused. */
export interface FieldViolation {
  /** The path of the field. */
  readonly field: string;
  /** What is wrong with it. */
  readonly reason: string;
}

/** The details of a `CallError`. */
export interface CallErrorDetails {
  /** The fields that the server refused. */
  readonly violations?: readonly FieldViolation[];
  /** The name of the gRPC status, for instance `INVALID_ARGUMENT`; empty if nothing was sent. */
  readonly code?: string;
  /** The error that caused this one. */
  readonly cause?: unknown;
}

/** The request was not evaluated, so it must not go out. */
export class CallError extends Error {
  /** The name of the class. */
  override readonly name: string = "CallError";
  /** The error code of the server, for instance `INVALID_ARGUMENT`. */
  readonly reason: string;
  /** The fields that the server refused. */
  readonly violations: readonly FieldViolation[];
  /** The name of the gRPC status; empty if nothing was sent. */
  readonly code: string;

  constructor(reason: string, message: string, details: CallErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.reason = reason;
    this.violations = details.violations ?? [];
    this.code = details.code ?? "";
  }
}

/** There is no decision: no server, no answer in time, or an answer that cannot be used. */
export class UnavailableError extends CallError {
  /** The name of the class. */
  override readonly name: string = "UnavailableError";
  /** Whether the server itself reported the failure. */
  readonly fromServer: boolean;
  /** Whether the request may have reached the server. */
  readonly mayHaveArrived: boolean;

  constructor(
    message: string,
    details: CallErrorDetails & {
      /** The error code of the server, if it sent one. */
      readonly reason?: string;
      /** Whether the request may have reached the server; by default true. */
      readonly mayHaveArrived?: boolean;
    } = {},
  ) {
    super(details.reason || PDP_UNAVAILABLE, message, details);
    this.fromServer = Boolean(details.reason);
    this.mayHaveArrived = details.mayHaveArrived ?? true;
  }
}

/** The codes of gRPC that mean that the server, and not the request, is at fault. */
const AT_FAULT: ReadonlySet<string> = new Set([
  "UNAVAILABLE",
  "DEADLINE_EXCEEDED",
  "INTERNAL",
  "UNKNOWN",
  "DATA_LOSS",
  "CANCELLED",
  "ABORTED",
]);

/** Returns the error that a status of gRPC stands for. */
export function errorOf(
  code: string,
  message: string,
  details: { reason?: string; violations?: readonly FieldViolation[]; cause?: unknown } = {},
): CallError {
  if (!AT_FAULT.has(code)) {
    return new CallError(details.reason || code, message, { ...details, code });
  }
  const text = code === "DEADLINE_EXCEEDED" && !details.reason ? NO_ANSWER : message;
  return new UnavailableError(text, { ...details, code });
}

/** What a call that takes too long says. */
export const NO_ANSWER = "there was no answer in time";

/** Returns the error of a request that cannot be sent. */
export function invalidRequest(field: string, reason: string): CallError {
  const violations = [{ field, reason }];
  return new CallError("INVALID_ARGUMENT", `${field}: ${reason}`, { violations });
}
