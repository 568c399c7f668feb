/** Middleware for Express: a request reaches its handler only as a decision permits it. */

import type { DecideOptions, PolicyClient } from "./client.js";
import type { Decision } from "./decision.js";
import { DeniedError, enforce, HeldError, NotPermittedError, type Permit } from "./enforcement.js";
import { stringifyJson } from "./json.js";
import type { AnyRequest, DecisionRequest } from "./request.js";

/** What the middleware needs of a request of Express. */
export interface RequestLike {
  /** The parsed body; `express.json()` sets it. */
  body?: unknown;
}

/** What the middleware needs of a response of Express. */
export interface ResponseLike {
  /** Whether an answer is on its way. */
  readonly headersSent: boolean;
  /** Values for later handlers. */
  readonly locals: Record<string, unknown>;
  /** Sets the status. */
  status(code: number): unknown;
  /** Sets a header. */
  set(name: string, value: string): unknown;
  /** Sends a body as JSON. */
  json(body: unknown): unknown;
}

/** What the middleware puts in `response.locals.pdp`. */
export interface PdpLocals {
  /** What may go out. */
  readonly permit: Permit;
  /** The decision. */
  readonly decision: Decision;
}

/** The options of `pdpMiddleware`. */
export interface MiddlewareOptions<Req extends RequestLike = RequestLike> {
  /**
   * Returns what to decide on; undefined lets the request pass without a decision. By default it
   * is the body, as a payload of the format `json`.
   */
  readonly request?: (
    request: Req,
  ) => AnyRequest | undefined | Promise<AnyRequest | undefined>;
  /** Who asks and so on; it is added to the body if there is no `request`. */
  readonly about?: (request: Req) => DecisionRequest;
  /**
   * Puts what may go out into the request, before its handler. Without it, a request that must be
   * changed is stopped, except if the body is judged by default: then the body is replaced.
   */
  readonly apply?: (request: Req, permit: Permit) => void;
  /** Answers a request that must not go out; by default with JSON. */
  readonly refuse?: (error: NotPermittedError, request: Req, response: ResponseLike) => void;
  /** The options of each call. `onUnavailable` is always `deny`. */
  readonly call?: Omit<DecideOptions, "onUnavailable">;
}

/** A middleware of Express. */
export type Middleware<Req> = (
  request: Req,
  response: ResponseLike,
  next: (error?: unknown) => void,
) => Promise<void>;

/**
 * Returns a middleware that decides on each request.
 *
 * If the request may pass, the permit is in `response.locals.pdp`. If not, it is answered with the
 * status of the decision; its handler does not run. If the server refuses to judge it, the error
 * goes to the error handlers.
 */
export function pdpMiddleware<Req extends RequestLike = RequestLike>(
  client: PolicyClient,
  options: MiddlewareOptions<Req> = {},
): Middleware<Req> {
  const { request: ask, about, apply, refuse = answer, call } = options;
  return async (request, response, next) => {
    try {
      const asked = ask ? await ask(request) : bodyRequest(request, about?.(request));
      if (asked === undefined) {
        next();
        return;
      }
      const decision = await client.decide(asked, { ...call, onUnavailable: "deny" });
      const permit = enforce(asked, decision);
      if (apply) apply(request, permit);
      else if (ask) requireUnchanged(permit, decision);
      else replaceBody(request, permit, decision);
      response.locals["pdp"] = { permit, decision } satisfies PdpLocals;
    } catch (error) {
      if (error instanceof NotPermittedError) refuse(error, request, response);
      else next(error);
      return;
    }
    next();
  };
}

function bodyRequest(request: RequestLike, about: DecisionRequest = {}): DecisionRequest {
  const body = request.body === undefined ? "null" : stringifyJson(request.body);
  return { ...about, payload: { format: "json", ...about.payload, body } };
}

function replaceBody(request: RequestLike, permit: Permit, decision: Decision): void {
  requireNothingElse(permit, decision);
  if (decision.redactedPayload !== undefined) request.body = JSON.parse(permit.payload);
}

/** Throws if the request must be changed, which only `apply` can do. */
function requireUnchanged(permit: Permit, decision: Decision): void {
  requireNothingElse(permit, decision);
  if (decision.redacted) {
    throw new DeniedError(decision, "The request must be redacted, and nothing here redacts it.");
  }
}

function requireNothingElse(permit: Permit, decision: Decision): void {
  if (permit.route) {
    throw new DeniedError(decision, "The request must go to another model, and nothing sends it.");
  }
  if (permit.maskedFields.length) {
    throw new DeniedError(decision, "Fields must be masked, and nothing here masks them.");
  }
}

/** Answers a request that must not go out. Tokens stay here. */
function answer(error: NotPermittedError, _: RequestLike, response: ResponseLike): void {
  if (response.headersSent) return;
  const { decision } = error;
  if (decision.retryAfter !== undefined) response.set("Retry-After", String(decision.retryAfter));
  response.status(decision.statusHint >= 400 ? decision.statusHint : 403);
  response.json({
    error: {
      code: decision.reasonCode || "NOT_PERMITTED",
      message: error.reason,
      decision_id: decision.decisionId,
      ...(error instanceof HeldError && heldMembers(error)),
    },
  });
}

function heldMembers({ prompts, approval }: HeldError) {
  return {
    prompts,
    ...(approval && {
      approval: { id: approval.id, state: approval.state, expires_at: approval.expiresAt },
    }),
  };
}
