/** The playground: what would be decided on a request, and why. */
import { signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { go, href, location } from "../../router";
import { identity, tenant } from "../../session";
import { Progress } from "../../ui/feedback";
import { changedSections, draft, overlayOf } from "../draft/draft_store";
import { Comparison } from "./comparison";
import { type Inputs, inputs, inputsOf, type Problems, problemsOf, requestOf } from "./inputs";
import { RequestForm } from "./request_form";
import { Result } from "./result";
import { type Run, simulate } from "./runs";
import "./playground.css";

/** What was tried last, and what came of it. */
interface Trial {
  readonly tried: Inputs;
  readonly now: Run;
  readonly withDraft: Run | undefined;
}

/** Whether the draft is tried, too; kept as the inputs are. */
const tryDraft = signal(false);

export default function Page() {
  const trial = useSignal<Trial | undefined>(undefined);
  const running = useSignal(false);
  const problems = useSignal<Problems>({});
  const results = useRef<HTMLDivElement>(null);
  usePrefill();
  // What was decided for one tenant says nothing about another.
  useEffect(() => {
    trial.value = undefined;
  }, [tenant.value]);

  const run = async () => {
    if (running.value) return;
    const tried = inputs.value;
    const forTenant = tenant.value;
    problems.value = problemsOf(tried);
    if (Object.keys(problems.value).length > 0) return;
    running.value = true;
    const request = requestOf(tried);
    const overlay = usable() && draft.value !== undefined ? overlayOf(draft.value) : undefined;
    const [now, withDraft] = await Promise.all([
      simulate(request),
      overlay === undefined ? undefined : simulate(request, overlay),
    ]);
    running.value = false;
    // Neither is shown to whoever signed in meanwhile, nor for another tenant.
    if (identity.value === undefined || tenant.value !== forTenant) return;
    trial.value = { tried, now, withDraft };
    requestAnimationFrame(() =>
      results.current?.querySelector(".verdict")?.scrollIntoView({ block: "nearest" }),
    );
  };

  return (
    <div onKeyDownCapture={(event) => onEnter(event, run)}>
      <div class="page-head">
        <h1>Playground</h1>
        <p class="soft">Nothing here is recorded, and no limit counts it.</p>
      </div>
      <RequestForm problems={problems.value} />
      <div class="run-bar">
        <button type="button" class="primary" disabled={running.value} onClick={() => void run()}>
          {running.value ? "Deciding…" : "Decide"}
        </button>
        <span class="soft small">
          <kbd>Ctrl</kbd> <kbd>Enter</kbd>
        </span>
        <DraftToggle />
      </div>
      <div ref={results}>
        {running.value && trial.value === undefined && <Progress label="Deciding" />}
        {trial.value !== undefined && <Results trial={trial.value} />}
      </div>
    </div>
  );
}

/** Takes inputs from the address, and removes them from it: they may be confidential. */
function usePrefill(): void {
  const { query } = location.value;
  useEffect(() => {
    const given = inputsOf(query);
    if (given !== undefined) inputs.value = given;
    if (query.has("draft")) tryDraft.value = true;
    if (query.size > 0) go(["playground"], {}, true);
  }, [query.toString()]);
}

/** Runs on Ctrl+Enter or Cmd+Enter, before an editor takes it for a new line. */
function onEnter(event: KeyboardEvent, run: () => Promise<void>): void {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  event.stopPropagation();
  void run();
}

/** Whether the draft is to be tried, and has something to try. */
function usable(): boolean {
  return tryDraft.value && changedSections().length > 0;
}

function DraftToggle() {
  if (draft.value === undefined) return null;
  const count = changedSections().length;
  if (count === 0) {
    return (
      <span class="soft small">
        The <a href={href(["draft"])}>draft</a> changes nothing yet.
      </span>
    );
  }
  return (
    <label class="check">
      <input
        type="checkbox"
        checked={tryDraft.value}
        onChange={(event) => (tryDraft.value = event.currentTarget.checked)}
      />
      Also with the draft
    </label>
  );
}

function Results({ trial: { tried, now, withDraft } }: { trial: Trial }) {
  if (withDraft === undefined) return <Result title="Decision" run={now} tried={tried} />;
  return (
    <>
      <Comparison now={now} withDraft={withDraft} />
      <div class="results two">
        <Result title="Now" run={now} tried={tried} />
        <Result title="With the draft" run={withDraft} tried={tried} />
      </div>
    </>
  );
}
