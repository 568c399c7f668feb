/** Dead letters: events and alerts that were given up. They are sent again, or discarded. */
import type { AnswerOf, BodyOf } from "../../api/types";
import { api, may } from "../../session";
import { ConfirmButton } from "../../ui/dialog";
import { Empty, ErrorBox, Loaded, notify } from "../../ui/feedback";
import { integer, time } from "../../ui/format";
import { type Remote, type Task, useRemote, useTask } from "../../ui/remote";
import { bytes } from "./sizes";

type Letters = AnswerOf<"ListDeadLetters">;
type Group = Letters["groups"][number];
type Selection = BodyOf<"RetryDeadLetters">;

const EVERY_MS = 10_000;

export function DeadLetters() {
  const remote = useRemote(
    "dead-letters",
    (signal) => api.call("ListDeadLetters", { signal }),
    EVERY_MS,
  );
  return (
    <Loaded remote={remote}>{({ groups }) => <Groups groups={groups} remote={remote} />}</Loaded>
  );
}

function Groups({ groups, remote }: { groups: readonly Group[]; remote: Remote<Letters> }) {
  const task = useTask();
  const total = groups.reduce((sum, { count }) => sum + count, 0);
  return (
    <>
      {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
      {groups.length === 0 ? (
        <Empty title="There are no dead letters.">
          Everything was delivered, or is still being tried.
        </Empty>
      ) : (
        <>
          <div class="toolbar">
            <p>
              {integer(total)} {total === 1 ? "delivery was" : "deliveries were"} given up.
            </p>
            <span class="end">
              <Actions
                what="all"
                count={total}
                selection={{ all: true }}
                task={task}
                remote={remote}
              />
            </span>
          </div>
          {groups.map((group) => (
            <GroupPanel
              key={`${group.kind} ${group.destination} ${group.reason}`}
              group={group}
              task={task}
              remote={remote}
            />
          ))}
        </>
      )}
    </>
  );
}

function GroupPanel(props: { group: Group; task: Task; remote: Remote<Letters> }) {
  const { group, task, remote } = props;
  const { kind, destination, reason, count, size_bytes, since, until } = group;
  return (
    <section class="panel letters" aria-label={destination}>
      <div>
        <h3>
          {destination} <span class="badge quiet">{kind === "siem" ? "SIEM" : "Alert"}</span>
        </h3>
        <p class="removed">{reason}</p>
        <p class="soft small">
          {integer(count)} {count === 1 ? "letter" : "letters"}, {bytes(size_bytes)}; given up{" "}
          {since === until ? time(since) : `from ${time(since)} to ${time(until)}`}
        </p>
      </div>
      <Actions
        what="these"
        count={count}
        selection={{ kind: kind === "siem" ? "siem" : "alert", destination, reason }}
        task={task}
        remote={remote}
      />
    </section>
  );
}

function Actions(props: {
  what: "all" | "these";
  count: number;
  selection: Selection;
  task: Task;
  remote: Remote<Letters>;
}) {
  const { what, count, selection: body, task, remote } = props;
  const retry = () =>
    task.run(async () => {
      const { retried } = await api.call("RetryDeadLetters", { body });
      notify(`Queued again: ${integer(retried)}`);
      remote.reload();
    });
  const discard = () =>
    task.run(async () => {
      const { discarded } = await api.call("DiscardDeadLetters", { body });
      notify(`Discarded: ${integer(discarded)}`);
      remote.reload();
    });
  const suffix = what === "all" ? " all" : "";
  return (
    <div class="row-buttons">
      {may("RetryDeadLetters") && (
        <button type="button" disabled={task.running.value} onClick={() => void retry()}>
          Send{suffix} again
        </button>
      )}
      {may("DiscardDeadLetters") && (
        <ConfirmButton
          label={`Discard${suffix}…`}
          confirm={`Discard ${integer(count)} for good`}
          question="They are deleted, and never sent. This cannot be undone."
          run={() => void discard()}
          disabled={task.running.value}
        />
      )}
    </div>
  );
}
