/** The examples of the README and in `examples` run as they stand. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { PACKAGE, PdpServer } from "./support/pdp.js";

const run = promisify(execFile);
const readme = readFileSync(resolve(PACKAGE, "README.md"), "utf8");

let server: PdpServer;
before(async () => {
  server = await PdpServer.start();
});
after(() => server.stop());

async function runFile(path: string): Promise<string> {
  const { stdout } = await run(process.execPath, [path], {
    cwd: PACKAGE,
    env: { ...process.env, PDP_ADDRESS: server.grpc, PDP_URL: server.http },
    timeout: 120_000,
  });
  return stdout;
}

/** Returns the blocks of code in a language, each with the block of text that follows. */
function examples(): { code: string; output: string }[] {
  const blocks = /```js\n([\s\S]*?)```(?:\n\n```text\n([\s\S]*?)```)?/g;
  return [...readme.matchAll(blocks)].map(([, code = "", output = ""]) => ({ code, output }));
}

for (const [at, { code, output }] of examples().entries()) {
  test(`example ${at + 1} of the README`, async () => {
    const folder = resolve(PACKAGE, "build/readme");
    mkdirSync(folder, { recursive: true });
    const file = resolve(folder, `example-${at + 1}.mjs`);
    writeFileSync(file, code);
    const written = await runFile(file);
    if (output) assert.equal(written, output);
  });
}

test("the README has examples, the first of about ten lines", () => {
  const [first] = examples();
  assert(first && first.output);
  assert(first.code.trim().split("\n").length <= 12);
});

test("the example program runs", async () => {
  assert.equal(
    await runFile("build/examples/agent.js"),
    [
      'run lookup {"order":42}',
      'run mail {"to":"bob","text":"Card [REDACTED]"}',
      "stop query: This request contains a UNION SELECT and was stopped as SQL injection.",
      "answer: The card [REDACTED] was charged.",
      "",
    ].join("\n"),
  );
});
