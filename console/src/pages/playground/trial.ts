/** Trying the inputs: as the policies are, and with the draft. */
import { type Signal, signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { changedSections, draft, overlayOf } from "../../draft/draft_store";
import { tenant } from "../../session";
import { type Inputs, inputs, type Problems, problemsOf, requestOf } from "./inputs";
import { type Run, simulate } from "./runs";

/** What was tried last, and what came of it. */
export interface Trial {
  readonly tried: Inputs;
  readonly now: Run;
  readonly withDraft: Run | undefined;
}

/** Whether the draft is tried, too; kept as the inputs are. */
export const tryDraft = signal(false);

export interface Trying {
  readonly trial: Signal<Trial | undefined>;
  readonly running: Signal<boolean>;
  /** What kept the inputs from being sent. */
  readonly problems: Signal<Problems>;
  run(): Promise<void>;
}

export function useTrial(): Trying {
  const trial = useSignal<Trial | undefined>(undefined);
  const running = useSignal(false);
  const problems = useSignal<Problems>({});
  // What was decided for one tenant says nothing about another.
  useEffect(() => {
    trial.value = undefined;
  }, [tenant.value]);

  const run = async () => {
    if (running.value) return;
    problems.value = problemsOf(inputs.value);
    if (Object.keys(problems.value).length > 0) return;
    running.value = true;
    const forTenant = tenant.value;
    const done = await tryOnce(inputs.value);
    running.value = false;
    if (tenant.value === forTenant) trial.value = done;
  };
  return { trial, running, problems, run };
}

async function tryOnce(tried: Inputs): Promise<Trial> {
  const request = requestOf(tried);
  const wanted = tryDraft.value && changedSections().length > 0 ? draft.value : undefined;
  const [now, withDraft] = await Promise.all([
    simulate(request),
    wanted === undefined ? undefined : simulate(request, overlayOf(wanted)),
  ]);
  return { tried, now, withDraft };
}
