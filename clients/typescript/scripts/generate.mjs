// Writes src/gen from dist/contracts.binpb at the root of the repository.
//
// The result is committed, so that the package builds without Python and buf.
import { execFileSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = new URL("..", import.meta.url);
const path = (name) => fileURLToPath(new URL(name, folder));

const contracts = path("../../dist/contracts.binpb");
if (!existsSync(contracts)) {
  console.error(`${contracts} is missing: run 'make contracts' in the root of the repository`);
  process.exit(1);
}
const local = path("../../.ci/buf/node_modules/.bin/buf");
rmSync(path("src/gen"), { recursive: true, force: true });
execFileSync(existsSync(local) ? local : "buf", ["generate"], { cwd: path("."), stdio: "inherit" });
// The runtime library has these.
rmSync(path("src/gen/google"), { recursive: true, force: true });
