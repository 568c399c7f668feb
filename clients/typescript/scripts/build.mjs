// Compiles the package twice: dist/esm for `import`, dist/cjs for `require`.
import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = new URL("..", import.meta.url);
const path = (name) => fileURLToPath(new URL(name, folder));

rmSync(path("dist"), { recursive: true, force: true });
for (const [name, type] of [["esm", "module"], ["cjs", "commonjs"]]) {
  const compiler = path("node_modules/typescript/bin/tsc");
  execFileSync(process.execPath, [compiler, "-p", path(`tsconfig.${name}.json`)], { stdio: "inherit" });
  writeFileSync(path(`dist/${name}/package.json`), `{"type": "${type}"}\n`);
}
