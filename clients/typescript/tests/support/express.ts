/** Express, with the types that the tests need. */

import type { Server } from "node:http";
import type { ResponseLike } from "pdp-client/express";

type Handler = (
  request: { body?: unknown },
  response: ResponseLike,
  next: (error?: unknown) => void,
) => unknown;
type ErrorHandler = (
  error: { reason?: string },
  request: unknown,
  response: ResponseLike,
  next: unknown,
) => void;

interface App {
  use(...handlers: (Handler | ErrorHandler)[]): void;
  post(path: string, handler: Handler): void;
  listen(port: number, host: string): Server;
}

interface Express {
  (): App;
  json(): Handler;
}

/** Returns Express, which has no types of its own. */
export async function loadExpress(): Promise<Express> {
  const name: string = "express";
  return ((await import(name)) as { default: Express }).default;
}
