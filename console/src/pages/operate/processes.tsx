/** The processes that serve: the state of each, and by which policies it decides. */
import {
  BEAT_MS,
  isOld,
  type Process,
  type Processes as Answer,
  toneOf,
} from "../../model/processes";
import { api } from "../../session";
import { Ago } from "../../ui/ago";
import { Empty, Loaded } from "../../ui/feedback";
import { integer, words } from "../../ui/format";
import { Badge } from "../../ui/outcome";
import { useRemote } from "../../ui/remote";
import { type Column, Table } from "../../ui/table";

export function Processes() {
  const remote = useRemote("processes", (signal) => api.call("ListProcesses", { signal }), BEAT_MS);
  return <Loaded remote={remote}>{(answer) => <List answer={answer} />}</Loaded>;
}

function List({ answer: { processes, revision } }: { answer: Answer }) {
  if (processes.length === 0) {
    return (
      <Empty title="No process has been seen yet.">
        Each one appears within some seconds of its start.
      </Empty>
    );
  }
  const old = processes.filter(isOld);
  return (
    <>
      <p>
        {integer(processes.length)} {processes.length === 1 ? "process" : "processes"}; the newest
        policies are revision {integer(revision)}.{" "}
        {old.length > 0 && (
          <span class="late">
            {integer(old.length)} {old.length === 1 ? "does" : "do"} not decide by them.
          </span>
        )}
      </p>
      <Table
        label="Processes"
        columns={COLUMNS}
        rows={processes}
        keyOf={({ process_id }) => process_id}
      />
    </>
  );
}

const COLUMNS: readonly Column<Process>[] = [
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
    cell: (process) => (
      <Badge value={process.state} label={words(process.state)} tone={toneOf(process)} />
    ),
  },
  {
    name: "Revision",
    width: "5.5rem",
    numeric: true,
    cell: (process) => (
      <span class={isOld(process) ? "late" : ""}>{integer(process.revision)}</span>
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
