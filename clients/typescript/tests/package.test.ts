/** The package as others use it: `import`, `require`, its files, and processes that end. */

import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { toJsonString, create } from "@bufbuild/protobuf";
import { DecideRequestSchema } from "pdp-client";
import { PACKAGE, PdpServer } from "./support/pdp.js";

const run = promisify(execFile);

let server: PdpServer;
before(async () => {
  server = await PdpServer.start();
});
after(() => server.stop());

/** Runs a program in the folder of the package; returns what it writes. */
async function program(code: string, ...flags: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [...flags, "--eval", code], {
    cwd: PACKAGE,
    env: { ...process.env, PDP_ADDRESS: server.grpc, PDP_URL: server.http },
    timeout: 60_000,
  });
  return stdout;
}

const DECIDE = `
  const client = new Client(process.env.PDP_ADDRESS, { timeoutMs: 60000 });
  client.decide({ text: "hi" }).then((decision) => console.log(decision.outcome));
`;

test("a program that imports it ends without closing the client", async () => {
  const code = `import { Client } from "pdp-client"; ${DECIDE}`;
  assert.equal(await program(code, "--input-type=module"), "ALLOW\n");
});

test("a program that requires it ends without closing the client", async () => {
  const code = `const { Client } = require("pdp-client"); ${DECIDE}`;
  assert.equal(await program(code, "--input-type=commonjs"), "ALLOW\n");
});

test("a program ends if there is no server", async () => {
  const code = `
    import { Client } from "pdp-client";
    const client = new Client("127.0.0.1:1");
    console.log((await client.decide({ text: "hi" })).reasonCode);
  `;
  assert.equal(await program(code, "--input-type=module"), "PDP_UNAVAILABLE\n");
});

test("every entry can be imported and required", async () => {
  const names = ["pdp-client", "pdp-client/http", "pdp-client/express", "pdp-client/openai"];
  const required = names.map((name) => `Object.keys(require("${name}")).sort()`).join(", ");
  const imported = names.map((name) => `Object.keys(await import("${name}")).sort()`).join(", ");
  const exportsOf = async (code: string, type: string) =>
    JSON.parse(await program(code, `--input-type=${type}`)) as string[][];
  const one = await exportsOf(`console.log(JSON.stringify([${required}]))`, "commonjs");
  const other = await exportsOf(`console.log(JSON.stringify([${imported}]))`, "module");
  assert.deepEqual(one, other);
  assert.deepEqual(one[2], ["pdpMiddleware"]);
  assert.deepEqual(one[3], ["guardOpenAI"]);
});

test("the client over HTTP loads no gRPC, and nothing of Node.js", async () => {
  const code = `
    const { HttpClient } = require("pdp-client/http");
    const loaded = Object.keys(require.cache).filter((each) => each.includes("grpc"));
    const client = new HttpClient(process.env.PDP_URL, { timeoutMs: 60000 });
    client.decide({ text: "hi" }).then(({ outcome }) => console.log(outcome, loaded.join()));
  `;
  assert.equal(await program(code, "--input-type=commonjs"), "ALLOW \n");
  const files = ["http", "core", "client", "connections", "http-endpoint", "telemetry", "request"];
  for (const each of files) {
    assert.doesNotMatch(readFileSync(resolve(PACKAGE, `dist/esm/${each}.js`), "utf8"), /from "node:/);
  }
});

describe("the packed package", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "pdp-pack-"));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  test("has its code and types, works for programs in TypeScript, and has no tests", () => {
    const npm = (...args: string[]) => execFileSync("npm", args, { cwd: PACKAGE, encoding: "utf8" });
    const [packed] = JSON.parse(
      npm("pack", "--json", "--ignore-scripts", "--offline", "--pack-destination", folder),
    ) as { filename: string; files: { path: string }[] }[];
    assert(packed);
    const files = packed.files.map((each) => each.path);
    for (const each of ["README.md", "LICENSE", "dist/esm/index.js", "dist/cjs/index.d.ts"]) {
      assert(files.includes(each), `${each} is missing`);
    }
    assert.deepEqual(files.filter((each) => /^(tests|build|examples|node_modules)/.test(each)), []);

    const modules = join(folder, "node_modules");
    execFileSync("mkdir", ["-p", join(modules, "pdp-client")]);
    execFileSync("tar", [
      ...["-xzf", join(folder, packed.filename), "-C", join(modules, "pdp-client")],
      "--strip-components=1",
    ]);
    // Only what the package depends on: none of the optional packages.
    for (const each of ["@bufbuild/protobuf", "@grpc", "@types/node", "undici-types"]) {
      cpSync(join(PACKAGE, "node_modules", each), join(modules, each), { recursive: true });
    }
    const code = `
      import { Client, enforce, type Decision } from "pdp-client";
      import { HttpClient } from "pdp-client/http";
      import { pdpMiddleware } from "pdp-client/express";
      import { guardOpenAI } from "pdp-client/openai";
      export const clients = [new Client("localhost:1"), new HttpClient("http://localhost:1")];
      export const text = (decision: Decision): string => enforce({ text: "hi" }, decision).text;
      export const guards = [pdpMiddleware, guardOpenAI];
    `;
    for (const [name, type] of [["esm", "module"], ["cjs", "commonjs"]]) {
      const project = join(folder, name ?? "");
      execFileSync("mkdir", ["-p", project]);
      writeFileSync(join(project, "package.json"), JSON.stringify({ type }));
      writeFileSync(join(project, "main.ts"), code);
      execFileSync(process.execPath, [
        join(PACKAGE, "node_modules/typescript/bin/tsc"),
        ...["--strict", "--noEmit", "--module", "nodenext", "--types", "node"],
        ...["--target", "es2022", join(project, "main.ts")],
      ], { cwd: project, stdio: "inherit" });
    }
  });
});

test("the lock file names no registry", () => {
  assert.doesNotMatch(readFileSync(resolve(PACKAGE, "package-lock.json"), "utf8"), /"resolved"/);
});

test("the program for decision cases answers each line", async () => {
  const requests = [
    { requestId: "r1", tenantId: "acme", content: { text: "hi" } },
    { tenantId: "acme", action: "DROP TABLE" },
  ];
  const lines = requests.map((each) => toJsonString(DecideRequestSchema, create(DecideRequestSchema, each)));
  const output = execFileSync(process.execPath, ["build/tests/cases.js", server.grpc], {
    cwd: PACKAGE,
    input: `${lines.join("\n")}\n`,
    encoding: "utf8",
  });
  const [first, second] = output.trim().split("\n").map((each) => JSON.parse(each));
  assert.deepEqual([first.requestId, first.outcome], ["r1", "OUTCOME_ALLOW"]);
  assert.equal(second.error.code, "INVALID_ARGUMENT");
  assert.equal(second.error.details[0].field, "action");
});
