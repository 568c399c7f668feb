/** "What would change": the draft on recorded decisions. */
import { useState } from "preact/hooks";
import { changedSections, type Draft } from "../../draft/draft_store";
import { may } from "../../session";
import { Empty, ErrorBox } from "../../ui/feedback";
import { integer } from "../../ui/format";
import { Badge, OUTCOMES } from "../../ui/outcome";
import { EffectReport } from "./effect_report";
import {
  lastRun,
  LIMITS,
  type PeriodKey,
  PERIODS,
  type ReplayRun,
  type Selection,
  startReplay,
  stopReplay,
} from "./replay_run";

const START: Selection = { period: "yesterday", outcomes: [], limit: 10_000 };

export function EffectTab({ draft }: { draft: Draft }) {
  const last = lastRun.value?.draft.tenant === draft.tenant ? lastRun.value : undefined;
  const [selection, setSelection] = useState(last?.selection ?? START);
  if (!may("Replay")) return <Empty title="Your role does not include replaying decisions." />;
  if (changedSections(draft).length === 0) return <Empty title="The draft changes nothing yet." />;
  return (
    <>
      <p class="soft">
        Decides recorded requests again, with the policies of the draft, and shows what would have
        been decided otherwise. Nothing is written, and no limit is used.
      </p>
      <SelectionForm
        selection={selection}
        change={setSelection}
        isRunning={last?.state === "running"}
        start={() => void startReplay(draft, selection)}
      />
      {last !== undefined && <Run run={last} draft={draft} />}
    </>
  );
}

function SelectionForm({
  selection,
  change,
  isRunning,
  start,
}: {
  selection: Selection;
  change: (next: Selection) => void;
  isRunning: boolean;
  start: () => void;
}) {
  const { period, outcomes, limit } = selection;
  return (
    <form
      class="panel selection"
      onSubmit={(event) => {
        event.preventDefault();
        start();
      }}
    >
      <div class="toolbar">
        <label>
          Decisions of
          <select
            value={period}
            onChange={(event) =>
              change({ ...selection, period: event.currentTarget.value as PeriodKey })
            }
          >
            {Object.entries(PERIODS).map(([key, label]) => (
              <option key={key} value={key}>
                {label}
              </option>
            ))}
          </select>
        </label>
        <label>
          At most
          <select
            value={String(limit)}
            onChange={(event) => change({ ...selection, limit: Number(event.currentTarget.value) })}
          >
            {LIMITS.map((each) => (
              <option key={each} value={String(each)}>
                {integer(each)} records
              </option>
            ))}
          </select>
        </label>
        {isRunning ? (
          <button type="button" onClick={stopReplay}>
            Stop
          </button>
        ) : (
          <button type="submit" class="primary">
            Replay
          </button>
        )}
      </div>
      <fieldset class="plain-group">
        <legend class="soft small">Only decisions with these outcomes; none means all</legend>
        <div class="choices-list">
          {OUTCOMES.map((outcome) => (
            <label class="check" key={outcome}>
              <input
                type="checkbox"
                checked={outcomes.includes(outcome)}
                onChange={(event) =>
                  change({
                    ...selection,
                    outcomes: event.currentTarget.checked
                      ? [...outcomes, outcome]
                      : outcomes.filter((one) => one !== outcome),
                  })
                }
              />
              <Badge value={outcome} />
            </label>
          ))}
        </div>
      </fieldset>
    </form>
  );
}

function Run({ run, draft }: { run: ReplayRun; draft: Draft }) {
  const percent = Math.round(run.total.progress * 100);
  return (
    <>
      {run.state === "running" && (
        <p class="progress-line">
          <progress value={run.total.progress} max={1} aria-label="Progress of the replay" />
          <span class="soft" role="status">
            {integer(run.total.replayed)} decisions replayed · {percent}%
          </span>
        </p>
      )}
      {run.draft.edited !== draft.edited && run.state !== "running" && (
        <p class="notice caution">The draft has changed since this replay. Replay again.</p>
      )}
      {run.error !== undefined && <ErrorBox error={run.error} />}
      <EffectReport run={run} />
    </>
  );
}
