/** Why a call failed. */

/** What is wrong with one field of a request. */
export interface Violation {
  readonly field: string;
  readonly reason: string;
}

/** The server answered with an error, or did not answer. */
export class ApiError extends Error {
  /**
   * @param status the HTTP status; 0 if the server did not answer
   * @param code the reason of the contract, such as `INVALID_PATTERN`
   * @param violations what is wrong with single fields
   * @param requestId the ID of the request in the logs of the server
   */
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly violations: readonly Violation[] = [],
    readonly requestId: string = "",
  ) {
    super(message);
    this.name = "ApiError";
  }

  /** Whether the server could not be reached, or is not able to answer at present. */
  get unavailable(): boolean {
    return this.status === 0 || this.status === 503;
  }
}

/** Returns the error of a response that is not successful. */
export async function errorOf(response: Response): Promise<ApiError> {
  const requestId = response.headers.get("x-request-id") ?? "";
  const text = await response.text().catch(() => "");
  const error = envelope(text);
  if (error === undefined) {
    const message = `The answer has the status ${response.status} and is not one of this server.`;
    return new ApiError(response.status, "UNKNOWN", message, [], requestId);
  }
  const details = Array.isArray(error.details) ? error.details.filter(isViolation) : [];
  return new ApiError(
    response.status,
    String(error.code),
    String(error.message),
    details,
    requestId,
  );
}

interface Envelope {
  readonly code: unknown;
  readonly message: unknown;
  readonly details?: unknown;
}

function envelope(text: string): Envelope | undefined {
  try {
    const error = (JSON.parse(text) as { error?: unknown } | null)?.error;
    return typeof error === "object" && error !== null ? (error as Envelope) : undefined;
  } catch {
    return undefined;
  }
}

function isViolation(detail: unknown): detail is Violation {
  if (typeof detail !== "object" || detail === null) return false;
  const { field, reason } = detail as Record<string, unknown>;
  return typeof field === "string" && typeof reason === "string";
}
