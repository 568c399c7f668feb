/** The processes that serve: whether each is alive, and by which policies it decides. */
import { Ago } from "../../ui/ago";
import type { AnswerOf } from "../../api/types";
import { api } from "../../session";
import { Empty, Loaded } from "../../ui/feedback";
import { integer, words } from "../../ui/format";
import { useRemote } from "../../ui/remote";
import { type Column, Table } from "../../ui/table";

type Processes = AnswerOf<"ListProcesses">;
type Process = Processes["processes"][number];

const EVERY_MS = 5_000;

const TONES: Readonly<Record<string, string>> = {
  serving: "good",
  draining: "caution",
  lost: "bad",
};

export function Processes() {
  const remote = useRemote(
    "processes",
    (signal) => api.call("ListProcesses", { signal }),
    EVERY_MS,
  );
  return <Loaded remote={remote}>{(answer) => <List answer={answer} />}</Loaded>;
}

function List({ answer: { processes, revision } }: { answer: Processes }) {
  if (processes.length === 0) {
    return (
      <Empty title="No process has been seen yet.">
        Each one appears within some seconds of its start.
      </Empty>
    );
  }
  const behind = processes.filter((one) => one.state === "serving" && one.revision < revision);
  return (
    <>
      <p>
        {integer(processes.length)} {processes.length === 1 ? "process" : "processes"}; the newest
        policies are revision {integer(revision)}.{" "}
        {behind.length > 0 && (
          <span class="late">
            {integer(behind.length)} {behind.length === 1 ? "decides" : "decide"} by older ones.
          </span>
        )}
      </p>
      <Table
        label="Processes"
        columns={columnsOf(revision)}
        rows={processes}
        keyOf={({ process_id }) => process_id}
      />
    </>
  );
}

function columnsOf(newest: number): readonly Column<Process>[] {
  return [
    { name: "Host", width: "minmax(0, 1.4fr)", cell: ({ host }) => host },
    { name: "PID", width: "4.5rem", cell: ({ pid }) => String(pid), wide: true, numeric: true },
    {
      name: "Worker",
      width: "4rem",
      cell: ({ worker }) => String(worker),
      wide: true,
      numeric: true,
    },
    { name: "Version", width: "5rem", cell: ({ version }) => version, wide: true },
    {
      name: "State",
      width: "6rem",
      cell: ({ state }) => <span class={`badge ${TONES[state] ?? "quiet"}`}>{words(state)}</span>,
    },
    {
      name: "Revision",
      width: "5.5rem",
      numeric: true,
      cell: ({ revision }) => (
        <span class={revision < newest ? "late" : ""}>{integer(revision)}</span>
      ),
    },
    {
      name: "Age of policies",
      width: "7.5rem",
      numeric: true,
      cell: ({ policies_age_seconds }) => `${policies_age_seconds.toFixed(1)} s`,
      wide: true,
    },
    {
      name: "Started",
      width: "6.5rem",
      cell: ({ started_at }) => <Ago time={started_at} />,
      wide: true,
    },
    {
      name: "Seen",
      width: "5.5rem",
      cell: ({ seen_at }) => <Ago time={seen_at} />,
      wide: true,
    },
  ];
}
