/** What waits, and what was answered. */
import { useSignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { href } from "../../router";
import { api } from "../../session";
import { Ago } from "../../ui/ago";
import { Empty, Loaded } from "../../ui/feedback";
import { time, words } from "../../ui/format";
import { Badge } from "../../ui/outcome";
import { now, useRemote } from "../../ui/remote";
import { type Column, Table } from "../../ui/table";
import { FilterField, wordMatcher } from "../../ui/text_filter";
import { type Approval, countdown, requesterOf, subjectOf, toneOf } from "./states";

const EVERY_MS = 3_000;

export function Waiting() {
  const remote = useRemote(
    "waiting",
    (signal) => api.call("ListApprovals", { query: { state: "pending" }, signal }),
    EVERY_MS,
  );
  return (
    <Loaded remote={remote}>
      {(approvals) =>
        approvals.length === 0 ? (
          <Empty title="Nothing waits.">
            A request appears here when a rule with the action ESCALATE holds it. This list is live.
          </Empty>
        ) : (
          <Table
            label="Approvals that wait"
            columns={WAITING}
            rows={approvals}
            keyOf={({ id }) => id}
            hrefOf={({ id }) => href(["approvals", id])}
          />
        )
      }
    </Loaded>
  );
}

const WAITING: readonly Column<Approval>[] = [
  { name: "Who asks", width: "minmax(0, 1fr)", cell: requesterOf },
  { name: "For what", width: "minmax(0, 2fr)", cell: subjectOf, wide: true },
  { name: "Why it is held", width: "minmax(0, 1.6fr)", cell: ({ message }) => message, wide: true },
  {
    name: "Asked",
    width: "7rem",
    cell: ({ created_at }) => <Ago time={created_at} />,
    wide: true,
  },
  { name: "Ends in", width: "7rem", cell: (row) => <Countdown until={row.expires_at} /> },
];

/** How long an answer is still possible. */
export function Countdown({ until }: { until: string | null }) {
  const left = until === null ? 0 : Date.parse(until) - now.value;
  return (
    <span class={left < 60_000 ? "urgent" : ""} title={time(until)}>
      {countdown(until, now.value)}
    </span>
  );
}

/** The states that `History` offers, the empty one for all of them. */
const STATES = ["", "approved", "used", "denied", "cancelled", "expired"] as const;

export function History() {
  const state = useSignal<(typeof STATES)[number]>("");
  const text = useSignal("");
  // The list is complete and may be long, so it is not loaded again by itself.
  const remote = useRemote(`history ${state.value}`, (signal) =>
    api.call("ListApprovals", { query: { state: state.value }, signal }),
  );
  return (
    <>
      <div class="toolbar">
        <label>
          State
          <select
            value={state.value}
            onChange={(event) => {
              state.value = event.currentTarget.value as (typeof STATES)[number];
            }}
          >
            {STATES.map((one) => (
              <option key={one} value={one}>
                {one === "" ? "All" : words(one)}
              </option>
            ))}
          </select>
        </label>
        <FilterField value={text.value} onChange={(next) => (text.value = next)} />
      </div>
      <Loaded remote={remote}>
        {(approvals) => <Closed approvals={approvals} filter={text.value} />}
      </Loaded>
    </>
  );
}

function Closed({ approvals, filter }: { approvals: readonly Approval[]; filter: string }) {
  const closed = useMemo(
    () => approvals.filter(({ state }) => state !== "pending").reverse(),
    [approvals],
  );
  const shown = useMemo(() => filteredBy(closed, filter), [closed, filter]);
  if (closed.length === 0) return <Empty title="Nothing was answered yet." />;
  if (shown.length === 0) return <Empty title={`No approval matches “${filter}”.`} />;
  return (
    <Table
      label="Approvals that are closed"
      columns={CLOSED}
      rows={shown}
      keyOf={({ id }) => id}
      hrefOf={({ id }) => href(["approvals", id])}
    />
  );
}

function filteredBy(approvals: readonly Approval[], filter: string): readonly Approval[] {
  const matches = wordMatcher(filter);
  return approvals.filter((approval) => {
    const { message, answered_by, answer_reason } = approval;
    const asked = [requesterOf(approval), subjectOf(approval), message];
    return matches([...asked, answered_by ?? "", answer_reason ?? ""].join("\n").toLowerCase());
  });
}

const CLOSED: readonly Column<Approval>[] = [
  { name: "Who asked", width: "minmax(0, 1fr)", cell: requesterOf },
  { name: "For what", width: "minmax(0, 1.6fr)", cell: subjectOf, wide: true },
  {
    name: "State",
    width: "7rem",
    cell: ({ state }) => <Badge value={state} label={words(state)} tone={toneOf(state)} />,
  },
  {
    name: "Answered by",
    width: "minmax(0, 1fr)",
    cell: ({ answered_by }) => answered_by ?? "–",
  },
  {
    name: "Why",
    width: "minmax(0, 1.4fr)",
    cell: ({ answer_reason }) => answer_reason ?? "",
    wide: true,
  },
  {
    name: "Asked",
    width: "7rem",
    cell: ({ created_at }) => <Ago time={created_at} />,
    wide: true,
  },
];
