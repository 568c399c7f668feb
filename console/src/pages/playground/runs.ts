/** One run of a request, and how two runs differ. */
import type { ApiError } from "../../api/errors";
import type { Schemas } from "../../api/types";
import { layerName } from "../../model/layers";
import { api } from "../../session";
import { words } from "../../ui/format";
import { asApiError } from "../../ui/remote";
import type { DecideRequest } from "./inputs";

export type Answer = Schemas["SimulateResponse"];
export type Overlay = Schemas["Overlay"];

export interface Run {
  readonly answer: Answer | undefined;
  readonly error: ApiError | undefined;
  /** How long the answer took, in microseconds, seen from the browser. */
  readonly us: number;
}

/** Runs a request. Nothing is recorded, and no limit counts it. */
export async function simulate(request: DecideRequest, overlay?: Overlay): Promise<Run> {
  const begin = performance.now();
  const body = { request, ...(overlay === undefined ? {} : { overlay }) };
  try {
    const answer = await api.call("Simulate", { body });
    return { answer, error: undefined, us: (performance.now() - begin) * 1000 };
  } catch (cause) {
    return { answer: undefined, error: asApiError(cause), us: 0 };
  }
}

/** What a person compares of two decisions, in words. */
export interface Change {
  readonly what: string;
  readonly before: string;
  readonly after: string;
}

/** Returns what differs between two answers to the same request. */
export function changesBetween(before: Answer, after: Answer): Change[] {
  const one = factsOf(before);
  const other = factsOf(after);
  const names = [...new Set([...one.keys(), ...other.keys()])];
  return names
    .map((what) => ({ what, before: one.get(what) ?? "", after: other.get(what) ?? "" }))
    .filter((change) => change.before !== change.after);
}

/** The facts of an answer: not IDs, times and revisions, which always differ. */
function factsOf({ decision, layers }: Answer): ReadonlyMap<string, string> {
  const facts = new Map<string, string>();
  if (decision === null) return facts;
  const { redacted_payload, redacted_text, redacted_arguments } = decision;
  facts.set("Outcome", decision.outcome);
  facts.set("Reason", decision.reason_code);
  facts.set("Message", decision.message);
  facts.set("Risk", String(decision.risk?.score ?? ""));
  for (const { layer, outcome } of layers) facts.set(`Layer: ${layerName(layer)}`, outcome);
  for (const match of decision.matches) {
    const name = match.name === "" ? match.policy_id : match.name;
    facts.set(`Match: ${name}`, words(match.action));
  }
  const redacted = redacted_payload ?? redacted_text ?? redacted_arguments;
  if (redacted !== undefined) {
    facts.set("Redacted", typeof redacted === "string" ? redacted : JSON.stringify(redacted));
  }
  return facts;
}
