/** A real server for a test: a process of its own, with a database in a temporary directory. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const PDP =
  process.env["PDP_TEST_PROGRAM"] ??
  fileURLToPath(new URL("../../../.venv/bin/pdp", import.meta.url));
const run = promisify(execFile);

export interface ServerOptions {
  readonly auth?: "dev" | "required";
  readonly env?: Readonly<Record<string, string>>;
}

export class Server {
  private constructor(
    readonly url: string,
    readonly directory: string,
    private readonly process: ChildProcess,
  ) {}

  /** Starts a server on free ports, and waits until it serves. */
  static async start({ auth = "dev", env = {} }: ServerOptions = {}): Promise<Server> {
    const directory = await mkdtemp(join(tmpdir(), "pdp-console-"));
    const process = spawn(PDP, ["serve"], {
      env: { ...environment(directory), PDP_AUTH: auth, ...env },
      stdio: ["ignore", "ignore", "pipe"],
    });
    return new Server(await addressOf(process), directory, process);
  }

  /** Creates a key at the command line, as the first admin of a server does. */
  async createKey(role: string, tenant = "*"): Promise<string> {
    const args = ["keys", "create", "--role", role, "--tenant", tenant];
    const { stdout } = await run(PDP, args, { env: environment(this.directory) });
    const key = /aa_live_\w+/.exec(stdout)?.[0];
    if (key === undefined) throw new Error(`no key in the output of pdp keys create: ${stdout}`);
    return key;
  }

  /** Calls the REST API. Throws if the answer is an error. */
  async call<T>(method: string, path: string, body?: unknown, key = "", tenant = ""): Promise<T> {
    const response = await fetch(this.url + path, {
      method,
      headers: {
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(key === "" ? {} : { authorization: `Bearer ${key}` }),
        ...(tenant === "" ? {} : { "x-tenant-id": tenant }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return (text === "" ? undefined : JSON.parse(text)) as T;
  }

  /** Ends the server at once, as a crash would. */
  async kill(): Promise<void> {
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    if (this.process.exitCode !== null || !this.process.kill("SIGKILL")) return;
    await ended;
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.directory, { recursive: true, force: true });
  }
}

function environment(directory: string): Record<string, string> {
  return {
    PATH: process.env["PATH"] ?? "",
    HOME: directory,
    PDP_DATA_DIR: directory,
    PDP_GRPC_LISTEN: "127.0.0.1:0",
    PDP_HTTP_LISTEN: "127.0.0.1:0",
  };
}

/** Reads the log of a server until it says at which address it serves. */
async function addressOf(process: ChildProcess): Promise<string> {
  const stderr = process.stderr;
  if (stderr === null) throw new Error("the server has no stderr");
  const seen: string[] = [];
  for await (const line of createInterface({ input: stderr })) {
    seen.push(line);
    const http = /"http": "(http:[^"]+)".*"event": "serving"/.exec(line)?.[1];
    if (http === undefined) continue;
    // What follows is read and dropped, so that the server never waits for a full pipe.
    stderr.resume();
    return http;
  }
  throw new Error(`the server has not started:\n${seen.join("\n")}`);
}
