/** The state of an exception, and its approval by another person. */
import { api, identity, may } from "../../session";
import { ConfirmButton } from "../../ui/dialog";
import { ErrorBox, notify } from "../../ui/feedback";
import { age, time } from "../../ui/format";
import { Badge } from "../../ui/outcome";
import { now, useTask } from "../../ui/remote";
import { addressOf, keepWarnings } from "./entity_store";
import { forWhom, standing, whatItLifts } from "./exception_words";
import type { Entity, EntityProps } from "./types";

const TONES: Readonly<Record<string, string>> = {
  active: "low",
  proposed: "medium",
  waiting: "medium",
  ended: "none",
};

export function ExceptionActions({ section, id, entity, reload }: EntityProps) {
  const task = useTask();
  const state = standing(entity);
  const own = entity["proposed_by"] === identity.value?.name;
  const approve = () =>
    task.run(async () => {
      const answer = await api.send("ApproveException", { path: { id }, body: {} });
      keepWarnings(addressOf(section, id), answer.value);
      notify("Approved. It is in force for the next decision.");
      reload();
    });
  return (
    <div class="panel form-group">
      <p>
        <Badge value={TONES[state] ?? "none"} label={state} /> Lifts{" "}
        <strong>{whatItLifts(entity)}</strong> for <strong>{forWhom(entity)}</strong>,{" "}
        {validity(entity, now.value)}.
      </p>
      {state === "proposed" && (
        <p class="soft">
          Proposed by {String(entity["proposed_by"])}. It lifts nothing until another person
          approves it.
          {own && " You have proposed it, so another person must approve it."}
        </p>
      )}
      {state === "proposed" && may("ApproveException") && (
        <ConfirmButton
          label="Approve"
          question={<p>It is then in force for the next decision.</p>}
          confirm="Approve this exception"
          danger={false}
          disabled={task.running.value}
          run={approve}
        />
      )}
      {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
    </div>
  );
}

/** Returns until when an exception holds, in words. */
function validity(exception: Entity, nowMs: number): string {
  const until = exception["valid_until"];
  if (typeof until !== "string") return "without an end";
  return `until ${time(until)} (${age(until, nowMs)})`;
}
