/** "Check": what the server would change, what it warns of, and what it refuses. */
import { useEffect, useState } from "preact/hooks";
import type { ApiError } from "../../api/errors";
import { changedSections, type Draft } from "../../draft/draft_store";
import { may } from "../../session";
import { Empty, ErrorBox, Progress } from "../../ui/feedback";
import { integer } from "../../ui/format";
import { ServerChanges } from "./change_view";
import { type Check, checkDraft, checkOf, lastCheck } from "./check";
import { Conflict } from "./conflict";
import { ProblemList, Remarks } from "./problem_view";

export function CheckTab({ draft }: { draft: Draft }) {
  if (changedSections(draft).length === 0) return <Empty title="The draft changes nothing yet." />;
  if (!may("ImportPolicyFile")) {
    return (
      <Empty title="Your role does not include checking and applying a draft.">
        <p class="soft">An editor can do both. Copy the draft as a policy file for them.</p>
      </Empty>
    );
  }
  return <DraftCheck draft={draft} />;
}

/** The check of the draft as it is now; it runs when it is shown. */
export function DraftCheck({ draft }: { draft: Draft }) {
  const [attempt, setAttempt] = useState(0);
  const check = checkOf(draft);
  useEffect(() => {
    if (checkOf(draft) !== undefined) return undefined;
    const controller = new AbortController();
    checkDraft(draft, controller.signal).then(
      (result) => {
        lastCheck.value = result;
      },
      () => undefined,
    );
    return () => controller.abort();
  }, [draft, attempt]);
  const retry = () => {
    lastCheck.value = undefined;
    setAttempt(attempt + 1);
  };
  if (check === undefined) return <Progress label="Checking" />;
  const { error } = check;
  if (error === undefined) return <Accepted check={check} />;
  if (error.status === 412) return <Conflict draft={draft} />;
  return <Refused check={check} error={error} retry={retry} />;
}

function Accepted({ check }: { check: Check }) {
  const { changes, warnings } = check;
  return (
    <>
      <p class="notice accepted" role="status">
        The server accepts the draft: {count(changes.length, "change")}
        {warnings.length > 0 && `, ${count(warnings.length, "warning")}`}.
      </p>
      {warnings.length > 0 && (
        <section>
          <h2>Warnings</h2>
          <p class="soft">They do not stop you. Each is about something that you may not expect.</p>
          <Remarks remarks={warnings} />
        </section>
      )}
      <h2>Changes</h2>
      <ServerChanges changes={changes} />
    </>
  );
}

function Refused({ check, error, retry }: { check: Check; error: ApiError; retry: () => void }) {
  const { problems, others } = check;
  if (problems.length + others.length === 0) return <ErrorBox error={error} retry={retry} />;
  return (
    <div class="notice error" role="alert">
      <p>
        <strong>The server refuses the draft.</strong> Nothing was changed.
      </p>
      <ProblemList problems={problems}>
        {others.map(({ field, reason }) => (
          <li key={field + reason}>
            <code>{field}</code> {reason}
          </li>
        ))}
      </ProblemList>
      <p class="small">
        {error.code}
        {error.requestId !== "" && ` · request ${error.requestId}`}
      </p>
    </div>
  );
}

function count(number: number, noun: string): string {
  return `${integer(number)} ${noun}${number === 1 ? "" : "s"}`;
}
