/**
 * An agent that asks before each call of a tool, and before its answer goes out.
 *
 * Run it with a server on 127.0.0.1:50051, or at PDP_ADDRESS:
 *
 *     npm run build && npx tsc -p tests && node build/examples/agent.js
 */

import { Client, DeniedError, enforce, HeldError, type DecisionRequest } from "pdp-client";

const client = new Client(process.env["PDP_ADDRESS"] ?? "127.0.0.1:50051", { timeoutMs: 5000 });
const subject = { userId: "ann", agentId: "support-bot" };

/** Runs a tool as the policies permit it. */
async function call(tool: string, args: NonNullable<DecisionRequest["arguments"]>): Promise<void> {
  const request = { subject, tool, arguments: args };
  try {
    const permit = enforce(request, await client.decide(request));
    console.log(`run ${tool} ${permit.argumentsJson}`);
  } catch (error) {
    if (error instanceof HeldError) console.log(`ask for ${tool}: ${error.reason}`);
    else if (error instanceof DeniedError) console.log(`stop ${tool}: ${error.reason}`);
    else throw error;
  }
}

/** A model that answers in pieces. */
async function* model(): AsyncGenerator<string> {
  for (const piece of ["The card 4111 11", "11 1111 1111 was", " charged."]) yield piece;
}

await call("lookup", { order: 42 });
await call("mail", { to: "bob", text: "Card 4111 1111 1111 1111" });
await call("query", { sql: "1 UNION SELECT password FROM users" });

process.stdout.write("answer: ");
for await (const text of client.filterText(model(), { subject })) process.stdout.write(text);
process.stdout.write("\n");
client.close();
