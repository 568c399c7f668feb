/**
 * Decides on requests from stdin, one in ProtoJSON a line; writes the responses or errors.
 *
 * The argument is the address of the server.
 */

import { createInterface } from "node:readline";
import { fromJsonString, toJsonString } from "@bufbuild/protobuf";
import { CallError, Client, DecideRequestSchema, DecideResponseSchema } from "pdp-client";

const client = new Client(process.argv[2] ?? "", { timeoutMs: 60_000 });

async function answer(line: string): Promise<string> {
  try {
    const request = fromJsonString(DecideRequestSchema, line);
    const { raw } = await client.decide(request, { onUnavailable: "throw" });
    return toJsonString(DecideResponseSchema, raw);
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    const { reason: code, message, violations: details } = error;
    return JSON.stringify({ error: { code, message, details } });
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${await answer(line)}\n`);
}
client.close();
