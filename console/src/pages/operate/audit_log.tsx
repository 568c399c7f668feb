/** The log of decision records: whether it is as it was written. */
import { useSignal } from "@preact/signals";
import { useId } from "preact/hooks";
import type { AnswerOf } from "../../api/types";
import { api } from "../../session";
import { CopyButton } from "../../ui/copy";
import { ErrorBox } from "../../ui/feedback";
import { duration, integer, words } from "../../ui/format";
import { useTask } from "../../ui/remote";

interface Verification {
  readonly answer: AnswerOf<"VerifyRecords">;
  readonly anchor: string;
  readonly us: number;
}

export function AuditLog() {
  const anchor = useSignal("");
  const result = useSignal<Verification | undefined>(undefined);
  const task = useTask();
  const id = useId();
  const verify = (event: SubmitEvent) => {
    event.preventDefault();
    void task.run(async () => {
      result.value = undefined;
      const begin = performance.now();
      const given = anchor.value.trim();
      const query = given === "" ? {} : { anchor: given };
      // The whole log is read, which may take minutes.
      const answer = await api.call("VerifyRecords", { query, timeout: 0 });
      result.value = { answer, anchor: given, us: (performance.now() - begin) * 1000 };
    });
  };
  return (
    <>
      <p>
        The records form a hash chain. Verifying it finds every record that was removed, changed,
        added or moved since it was written.
      </p>
      <form class="panel verify" onSubmit={verify}>
        <div class="field">
          <label for={id}>Anchor</label>
          <input
            id={id}
            type="text"
            autocomplete="off"
            spellcheck={false}
            placeholder="Empty, or the head of an earlier verification"
            aria-describedby={`${id}-help`}
            value={anchor.value}
            onInput={(event) => (anchor.value = event.currentTarget.value)}
          />
          <p class="help" id={`${id}-help`}>
            With the head of an earlier verification, it is seen whether the end of the log was cut
            off since.
          </p>
        </div>
        <button type="submit" class="primary" disabled={task.running.value}>
          {task.running.value ? "Verifying…" : "Verify the log"}
        </button>
      </form>
      {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
      {result.value !== undefined && <Outcome verification={result.value} />}
    </>
  );
}

function Outcome({ verification: { answer, anchor, us } }: { verification: Verification }) {
  return (
    <section class="verification" aria-label="Result of the verification">
      <div class={`notice ${answer.intact ? "intact" : "error"}`} role="status">
        <p>
          <strong>
            {answer.intact
              ? "The log is intact."
              : `The log has ${answer.problems.length === 1 ? "a problem" : "problems"}.`}
          </strong>{" "}
          {answer.intact && anchor !== "" && "The anchor is in it."}
        </p>
        {answer.problems.length > 0 && (
          <ul>
            {answer.problems.map((problem) => (
              <li key={problem}>{problem}</li>
            ))}
          </ul>
        )}
      </div>
      <dl class="facts">
        <dt>Records</dt>
        <dd>{integer(answer.records)}</dd>
        <dt>Batches</dt>
        <dd>
          {integer(answer.batches)}
          {answer.batches > 0 && `, from ${answer.first_batch} to ${answer.last_batch}`}
        </dd>
        <dt>Took</dt>
        <dd>{duration(us)}</dd>
        <dt>Head</dt>
        <dd>
          <code>{answer.head}</code>{" "}
          <CopyButton label="Copy the head" text={() => answer.head} done="The head is copied" />
          <p class="help">Store it in another place. It is the anchor of later verifications.</p>
        </dd>
      </dl>
      <Removals answer={answer} />
    </section>
  );
}

/** What retention has deleted, as the log itself notes it. */
function Removals({ answer }: { answer: Verification["answer"] }) {
  if (answer.removals.length === 0) {
    return <p class="soft">Retention has removed no records.</p>;
  }
  return (
    <>
      <h3>Removed by retention</h3>
      <table class="plain-table">
        <thead>
          <tr>
            <th scope="col">Tenant</th>
            <th scope="col">Why</th>
            <th scope="col" class="numeric">
              Records
            </th>
          </tr>
        </thead>
        <tbody>
          {answer.removals.map(({ tenant_id, reason, records }) => (
            <tr key={`${tenant_id} ${reason}`}>
              <td>{tenant_id === "" ? "Not noted" : tenant_id}</td>
              <td>{reason === "" ? "Not noted" : words(reason)}</td>
              <td class="numeric">{integer(records)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}
