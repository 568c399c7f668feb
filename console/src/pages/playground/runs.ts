/** One run of a request, and how two runs differ. */
import type { ApiError } from "../../api/errors";
import type { Schemas } from "../../api/types";
import { api } from "../../session";
import { asApiError } from "../../ui/remote";
import { differences, type Difference } from "../../ui/diff";
import { type DecideRequest } from "./inputs";

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

/** Returns what differs between two answers to the same request, for people. */
export function changesBetween(before: Answer, after: Answer): Difference[] {
  return differences(summary(before), summary(after));
}

/** What of an answer a person compares: not IDs, times and revisions, which always differ. */
function summary({ decision, layers }: Answer): unknown {
  return {
    Outcome: decision?.outcome,
    Reason: decision?.reason_code,
    Message: decision?.message,
    Risk: decision?.risk?.score,
    Matches: Object.fromEntries(
      (decision?.matches ?? []).map((match) => [
        `${match.layer}, ${match.name === "" ? match.policy_id : match.name}`,
        match.action,
      ]),
    ),
    Redacted: decision?.redacted_payload ?? decision?.redacted_text ?? decision?.redacted_arguments,
    Layers: Object.fromEntries(layers.map(({ layer, outcome }) => [layer, outcome])),
  };
}
