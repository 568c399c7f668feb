/** The playground: what would be decided on a request, and why. */
import { useEffect, useRef } from "preact/hooks";
import { changedSections, draft } from "../../draft/draft_store";
import { go, href, location } from "../../router";
import { Progress } from "../../ui/feedback";
import { Comparison } from "./comparison";
import { inputs, inputsOf } from "./inputs";
import { RequestForm } from "./request_form";
import { Result } from "./result";
import { type Trial, tryDraft, useTrial } from "./trial";
import "./playground.css";

export default function Page() {
  const { trial, running, problems, run } = useTrial();
  const results = useRef<HTMLDivElement>(null);
  usePrefill();
  useEffect(() => {
    results.current?.querySelector(".verdict")?.scrollIntoView({ block: "nearest" });
  }, [trial.value]);
  return (
    <div class="playground" onKeyDownCapture={(event) => onEnter(event, run)}>
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
