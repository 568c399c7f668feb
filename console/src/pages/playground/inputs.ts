/** What the playground asks about. It lives in memory until the tab is closed or the user signs out. */
import { effect, signal } from "@preact/signals";
import type { Schemas } from "../../api/types";
import { identity } from "../../session";

export type DecideRequest = Schemas["DecideRequest"];

/** What is judged: a text, the document of a provider, or the call of a tool. */
export type Kind = "prompt" | "payload" | "tool";

export interface Inputs {
  readonly kind: Kind;
  readonly text: string;
  readonly body: string;
  /** The format of `body`; empty if the server finds it. */
  readonly format: string;
  readonly server: string;
  readonly tool: string;
  readonly action: string;
  /** JSON, as the user writes it. */
  readonly arguments: string;
  readonly user: string;
  /** Split by commas. */
  readonly groups: string;
  readonly agent: string;
  readonly customer: string;
  readonly provider: string;
  readonly model: string;
  readonly direction: string;
  /** JSON, as the user writes it. */
  readonly context: string;
}

export const EMPTY: Inputs = {
  kind: "prompt",
  text: "",
  body: "",
  format: "",
  server: "",
  tool: "",
  action: "",
  arguments: "",
  user: "",
  groups: "",
  agent: "",
  customer: "",
  provider: "",
  model: "",
  direction: "",
  context: "",
};

/** The formats of payloads; see docs/payloads.md. */
export const FORMATS = [
  "openai.chat_completions",
  "openai.responses",
  "anthropic.messages",
  "google.generate_content",
  "bedrock.converse",
  "mcp.jsonrpc",
  "a2a.jsonrpc",
  "json",
  "text",
] as const;

export const inputs = signal<Inputs>(EMPTY);

// The next user of this tab must not see what the one before has written.
effect(() => {
  if (identity.value === undefined) inputs.value = EMPTY;
});

/** Returns the inputs that an address asks for; undefined if it asks for none. */
export function inputsOf(query: URLSearchParams): Inputs | undefined {
  const names = Object.keys(EMPTY).filter((name) => name !== "kind");
  const values = names.flatMap((name) => {
    const value = query.get(name);
    return value === null ? [] : [[name, value] as const];
  });
  if (values.length === 0) return undefined;
  const kind: Kind = query.has("body") ? "payload" : query.has("tool") ? "tool" : "prompt";
  return { ...EMPTY, ...Object.fromEntries(values), kind };
}

/** What keeps inputs from being sent: text by the name of the input. */
export type Problems = Partial<Record<keyof Inputs, string>>;

/** Returns what is wrong with the inputs before the server sees them. */
export function problemsOf(value: Inputs): Problems {
  return {
    ...(value.kind === "payload" && value.body.trim() === ""
      ? { body: "Paste a document to try." }
      : {}),
    ...(value.kind === "tool" && value.tool.trim() === "" ? { tool: "Name the tool." } : {}),
    ...(value.kind === "tool" ? jsonProblem("arguments", value.arguments) : {}),
    ...jsonProblem("context", value.context),
  };
}

function jsonProblem(name: "arguments" | "context", text: string): Problems {
  if (text.trim() === "") return {};
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)) return {};
    return { [name]: 'Write a JSON object, such as {"key": "value"}.' };
  } catch (cause) {
    return { [name]: `This is not JSON: ${cause instanceof Error ? cause.message : ""}` };
  }
}

/** Returns the request that the inputs are. They must have no problems. */
export function requestOf(value: Inputs): DecideRequest {
  const groups = value.groups
    .split(",")
    .map((group) => group.trim())
    .filter((group) => group !== "");
  const subject = {
    ...given("user_id", value.user),
    ...(groups.length > 0 ? { groups } : {}),
    ...given("agent_id", value.agent),
  };
  const model = { ...given("provider", value.provider), ...given("model", value.model) };
  return {
    ...judged(value),
    ...(Object.keys(subject).length > 0 ? { subject } : {}),
    ...(Object.keys(model).length > 0 ? { model } : {}),
    ...given("customer_id", value.customer),
    ...(value.direction === "input" || value.direction === "output"
      ? { direction: value.direction }
      : {}),
    ...(value.context.trim() === "" ? {} : { context: parsed(value.context) }),
    explain: true,
  };
}

/** The part of the request that is judged. */
function judged(value: Inputs): DecideRequest {
  switch (value.kind) {
    case "prompt":
      return { content: { text: value.text } };
    case "payload":
      return { payload: { ...given("format", value.format), body: value.body } };
    case "tool":
      return {
        ...given("tool", value.tool),
        ...given("action", value.action),
        ...(value.arguments.trim() === "" ? {} : { arguments: parsed(value.arguments) }),
        ...(value.server.trim() === ""
          ? {}
          : { target: { resource_type: "mcp_server", resource_id: value.server.trim() } }),
      };
  }
}

function given<Name extends string>(name: Name, value: string): { [name in Name]?: string } {
  const text = value.trim();
  return (text === "" ? {} : { [name]: text }) as { [name in Name]?: string };
}

/** The contract gives free-form objects a type without members. */
function parsed(text: string): Record<string, never> {
  return JSON.parse(text) as Record<string, never>;
}
