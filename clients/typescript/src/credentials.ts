/** The credential of each call. */

import { UnavailableError } from "./errors.js";

/** The credential. Without one, `PDP_API_KEY` and `PDP_TOKEN` are read from the environment. */
export interface Credentials {
  /** An API key. */
  readonly apiKey?: string;
  /** A signed token (JWT), or a function that returns one for each call. */
  readonly token?: string | (() => string | Promise<string>);
}

/**
 * Returns a function that returns the headers with the credential.
 *
 * @throws TypeError - both an API key and a token are set.
 */
export function credentialHeaders(
  credentials: Credentials,
): () => Promise<Record<string, string>> {
  const { apiKey, token } = hasAny(credentials) ? credentials : fromEnvironment();
  if (apiKey && token) throw new TypeError("set an API key or a token, not both");
  return async () => {
    if (apiKey) return { "x-api-key": apiKey };
    if (!token) return {};
    return { authorization: `Bearer ${typeof token === "string" ? token : await fresh(token)}` };
  };
}

async function fresh(token: () => string | Promise<string>): Promise<string> {
  try {
    return await token();
  } catch (cause) {
    throw new UnavailableError("the function `token` failed", { cause, mayHaveArrived: false });
  }
}

function hasAny({ apiKey, token }: Credentials): boolean {
  return apiKey !== undefined || token !== undefined;
}

function fromEnvironment(): Credentials {
  // Runtimes other than Node.js may have no process.
  const env = globalThis.process?.env ?? {};
  return {
    ...(env["PDP_API_KEY"] && { apiKey: env["PDP_API_KEY"] }),
    ...(env["PDP_TOKEN"] && { token: env["PDP_TOKEN"] }),
  };
}
