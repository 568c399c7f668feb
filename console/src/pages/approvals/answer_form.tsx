/** Answers an approval: yes, no, or not any more. */
import { useSignal } from "@preact/signals";
import { useId } from "preact/hooks";
import { FormError } from "../../forms/form_error";
import { violationsAt } from "../../forms/violations";
import { api, identity, may } from "../../session";
import { ConfirmButton } from "../../ui/dialog";
import { ErrorBox, notify } from "../../ui/feedback";
import { type Remote, useTask } from "../../ui/remote";
import type { Approval } from "./states";

interface AnswerProps {
  readonly approval: Approval;
  readonly remote: Remote<Approval>;
}

export function AnswerForm({ approval, remote }: AnswerProps) {
  const answers = may("ApproveApproval") && may("DenyApproval");
  const person = identity.value?.person ?? "";
  return (
    <>
      {answers && person !== "" && <YesOrNo approval={approval} remote={remote} />}
      {answers && person === "" && (
        <p class="notice caution">
          Your credential names no person, so it cannot answer. A key with an owner can, and so can
          a token.
        </p>
      )}
      {may("CancelApproval") && approval.state === "pending" && (
        <Cancel approval={approval} remote={remote} />
      )}
    </>
  );
}

function YesOrNo({ approval, remote }: AnswerProps) {
  const reason = useSignal("");
  const task = useTask();
  const id = useId();
  const pending = approval.state === "pending";
  const error = task.error.value;
  const problems = violationsAt(error?.violations ?? [], "reason", false);
  const answer = (operation: "ApproveApproval" | "DenyApproval") =>
    task.run(async () => {
      const body = { reason: reason.value.trim() };
      const answered = await api.call(operation, { path: { id: approval.id }, body });
      remote.value.value = answered;
      notify(operation === "ApproveApproval" ? "Approved" : "Denied");
    });
  return (
    <section class="panel answer" aria-label="Your answer">
      <div class={`field${problems.length > 0 ? " invalid" : ""}`}>
        <label for={id}>
          Your reason<span class="required"> required</span>
        </label>
        <textarea
          id={id}
          rows={3}
          maxLength={1024}
          aria-describedby={`${id}-help`}
          value={reason.value}
          onInput={(event) => (reason.value = event.currentTarget.value)}
        />
        <p class="help" id={`${id}-help`}>
          Auditors read it, and so does who asked if you deny.
        </p>
        {problems.map((problem) => (
          <p class="problem" role="alert" key={problem.reason}>
            {problem.reason}
          </p>
        ))}
      </div>
      {error !== undefined && <FormError error={error} names={["reason"]} />}
      <div class="row-buttons">
        {pending && (
          <button
            type="button"
            class="primary"
            disabled={task.running.value}
            onClick={() => void answer("ApproveApproval")}
          >
            Approve
          </button>
        )}
        <button
          type="button"
          class="danger"
          disabled={task.running.value}
          onClick={() => void answer("DenyApproval")}
        >
          {pending ? "Deny" : "Take back"}
        </button>
      </div>
    </section>
  );
}

function Cancel({ approval, remote }: AnswerProps) {
  const reason = useSignal("");
  const task = useTask();
  const cancel = () =>
    task.run(async () => {
      const body = { reason: reason.value.trim() };
      const cancelled = await api.call("CancelApproval", { path: { id: approval.id }, body });
      remote.value.value = cancelled;
      notify("Cancelled");
    });
  return (
    <div>
      <ConfirmButton
        label="Cancel it…"
        confirm="Cancel the approval"
        question={
          <>
            <p>The request stays held. If it is sent again, it opens another approval.</p>
            <div class="field">
              <label for={`cancel-${approval.id}`}>Reason</label>
              <input
                id={`cancel-${approval.id}`}
                type="text"
                maxLength={1024}
                value={reason.value}
                onInput={(event) => (reason.value = event.currentTarget.value)}
              />
            </div>
          </>
        }
        run={() => void cancel()}
        disabled={task.running.value}
      />
      {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
    </div>
  );
}
