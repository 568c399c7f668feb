// Fails if the committed bundle is larger than a page may be: 250 KiB in all, compressed.
import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const MOST = 250 * 1024;
const bundle = fileURLToPath(new URL("../../pdp/console/dist", import.meta.url));

const entries = await readdir(bundle, { recursive: true, withFileTypes: true });
const files = entries
  .filter((entry) => entry.isFile())
  .map((entry) => `${entry.parentPath}/${entry.name}`);
const sizes = await Promise.all(
  files.map(async (file) => [gzipSync(await readFile(file)).length, file.slice(bundle.length + 1)]),
);
const total = sizes.reduce((sum, [size]) => sum + size, 0);
for (const [size, name] of sizes.sort(([a], [b]) => b - a))
  console.log(`${size.toString().padStart(8)}  ${name}`);
console.log(`${total.toString().padStart(8)}  bytes in all, compressed, of ${MOST}`);
if (total > MOST) process.exit(1);
