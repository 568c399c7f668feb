/** A real server: `pdp serve` on free ports, with an empty database. */

import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

/** The folder of the package. Tests run in it. */
export const PACKAGE = process.cwd();

/** Returns the path of the program. */
export function pdpProgram(): string {
  const program = process.env["PDP_PROGRAM"] ?? resolve(PACKAGE, "../../.venv/bin/pdp");
  if (existsSync(program)) return program;
  throw new Error(
    `The server program ${program} does not exist. Install the server with 'make test' or ` +
      "'make run' at the root of the repository, or set PDP_PROGRAM to the path of `pdp`.",
  );
}

/** A running server. */
export class PdpServer {
  private constructor(
    readonly grpc: string,
    readonly http: string,
    private readonly process: ChildProcess,
    private readonly folder: string,
  ) {}

  /** Starts a server, and waits until it serves. */
  static async start(settings: Record<string, string> = {}): Promise<PdpServer> {
    const program = pdpProgram();
    const folder = mkdtempSync(join(tmpdir(), "pdp-"));
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("PDP_"));
    const child = spawn(program, ["serve", "--auth", "dev"], {
      env: {
        ...Object.fromEntries(inherited),
        PDP_DATA_DIR: folder,
        PDP_GRPC_LISTEN: "127.0.0.1:0",
        PDP_HTTP_LISTEN: "127.0.0.1:0",
        PDP_DRAIN_S: "0",
        ...settings,
      },
      stdio: ["ignore", "ignore", "pipe"],
    });
    const seen: string[] = [];
    for await (const line of createInterface({ input: child.stderr })) {
      seen.push(line);
      const entry = line.startsWith("{") ? (JSON.parse(line) as Record<string, string>) : {};
      if (entry["event"] !== "serving") continue;
      child.stderr.resume();
      return new PdpServer(entry["grpc"] ?? "", entry["http"] ?? "", child, folder);
    }
    throw new Error(`the server ended before it served:\n${seen.join("\n")}`);
  }

  /** Sends a request to the API for policies. */
  async post(path: string, body: unknown, tenant = "acme"): Promise<unknown> {
    const response = await fetch(`${this.http}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-tenant-id": tenant },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(text);
    return JSON.parse(text);
  }

  /** Ends the server, and waits until it has ended. */
  async stop(): Promise<void> {
    const ended = new Promise((done) => this.process.once("exit", done));
    this.process.kill("SIGTERM");
    await ended;
    rmSync(this.folder, { recursive: true, force: true });
  }
}
