/** What can be done with a decision: decide again with other policies, try it, copy it. */
import { useSignal } from "@preact/signals";
import type { AnswerOf, BodyOf } from "../../api/types";
import { draft, overlayOf } from "../../draft/draft_store";
import { layerName, policyHref } from "../../model/layers";
import { api, may } from "../../session";
import { ErrorBox, Progress } from "../../ui/feedback";
import { Badge } from "../../ui/outcome";
import { useTask } from "../../ui/remote";
import { CopyButtons } from "./copy_buttons";
import { playgroundHref } from "./links";
import type { DecisionRecord } from "./rows";

type Overlay = NonNullable<BodyOf<"Replay">["overlay"]>;
type Replayed = AnswerOf<"Replay">;
type Change = Replayed["changes"][number];

interface Result {
  /** Whose policies decided again. */
  readonly by: string;
  readonly answer: Replayed;
}

/** What can be done with a decision: decide again, try, copy. */
export function Actions({ record }: { record: DecisionRecord }) {
  const task = useTask();
  const result = useSignal<Result | undefined>(undefined);
  const currentDraft = draft.value;
  const playground = may("Simulate") ? playgroundHref(record) : undefined;
  const replay = (by: string, overlay: Overlay | undefined) =>
    void task.run(async () => {
      result.value = undefined;
      const recorded = { decision_ids: [record.decision_id] };
      const body = overlay === undefined ? { recorded } : { recorded, overlay };
      result.value = { by, answer: await api.call("Replay", { body }) };
    });
  return (
    <div class="actions">
      <div class="row-buttons">
        {may("Replay") && (
          <button
            type="button"
            disabled={task.running.value}
            onClick={() => replay("today's policies", undefined)}
          >
            Replay with today's policies
          </button>
        )}
        {may("Replay") && currentDraft !== undefined && (
          <button
            type="button"
            disabled={task.running.value}
            onClick={() => replay(draftWords(currentDraft.name), overlayOf(currentDraft))}
          >
            Replay with the draft
          </button>
        )}
        {playground !== undefined && (
          <a class="button" href={playground}>
            Try in the playground
          </a>
        )}
        <CopyButtons record={record} />
      </div>
      {task.running.value && <Progress label="Deciding again" />}
      {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
      {result.value !== undefined && <ReplayResult record={record} result={result.value} />}
    </div>
  );
}

function draftWords(name: string): string {
  return name === "" ? "the draft" : `the draft “${name}”`;
}

function ReplayResult({ record, result }: { record: DecisionRecord; result: Result }) {
  const { by, answer } = result;
  const [change] = answer.changes;
  return (
    <div class="panel" role="status">
      {answer.replayed === 0 ? (
        <p>
          <strong>The decision cannot be made again.</strong>{" "}
          {answer.not_replayed.map(({ reason }) => reason).join("; ")}
        </p>
      ) : change === undefined ? (
        <p>
          <strong>With {by}, nothing changes:</strong> the outcome stays{" "}
          <Badge value={record.outcome} />.
        </p>
      ) : (
        <ChangedOutcome by={by} change={change} />
      )}
      {answer.gaps.length > 0 && (
        <p class="soft">
          A record holds no raw text, so this was not checked:{" "}
          {answer.gaps.map(({ reason }) => reason).join("; ")}.
        </p>
      )}
    </div>
  );
}

function ChangedOutcome({ by, change }: { by: string; change: Change }) {
  const message = change.examples[0]?.message ?? "";
  return (
    <>
      <p>
        <strong>With {by}, the outcome changes:</strong> <Badge value={change.from} /> becomes{" "}
        <Badge value={change.to} />. {message}
      </p>
      <ul>
        {change.policies.map(({ layer, policy_id, name, effect, from_action, to_action }) => {
          const address = policyHref(layer, policy_id);
          return (
            <li key={`${layer} ${policy_id} ${effect}`}>
              {address === undefined ? name : <a href={address}>{name}</a>}{" "}
              <span class="soft small">{layerName(layer)}</span>{" "}
              {effectWords(effect, from_action, to_action)}
            </li>
          );
        })}
      </ul>
    </>
  );
}

function effectWords(effect: string, from = "", to = ""): string {
  switch (effect) {
    case "added":
      return `matches now${to === "" ? "" : `, with the action ${to}`}`;
    case "gone":
      return "no longer matches";
    default:
      return `has the action ${to} in place of ${from}`;
  }
}
