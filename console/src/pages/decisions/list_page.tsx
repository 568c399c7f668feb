/** The list of decisions: search, and new ones as they are made. */
import { useEffect, useMemo, useRef } from "preact/hooks";
import { ApiError } from "../../api/errors";
import { go, href, location } from "../../router";
import { api, may, tenant } from "../../session";
import { Empty, ErrorBox, Progress } from "../../ui/feedback";
import { integer, time, words } from "../../ui/format";
import { Badge } from "../../ui/outcome";
import { type Column, Table } from "../../ui/table";
import { ExportButtons } from "./export_buttons";
import { FilterBar } from "./filter_bar";
import { addressQuery, type Filters, filtersOf, recordQuery } from "./filters";
import { remember } from "./neighbours";
import { MOST_ROWS, RecordList } from "./record_list";
import { type DecisionRecord, type DecisionRow } from "./rows";
import { Tail } from "./tail";

const PAGE = 200;

export function ListPage() {
  const { query } = location.value;
  const filters = filtersOf(query);
  const live = query.get("live") === "1" && filters.until === undefined;
  const show = (next: Filters, nextLive: boolean) =>
    go(["decisions"], { ...addressQuery(next), live: nextLive ? "1" : "" });
  const { list, tail } = useRecords(filters, live);
  return (
    <>
      <div class="page-head">
        <h1>Decisions</h1>
        <div class="row-buttons">
          {may("TailRecords") && (
            <button
              type="button"
              disabled={filters.until !== undefined}
              title="Shows new decisions as they are made"
              onClick={() => show(filters, !live)}
            >
              {live ? "Pause" : "Go live"}
            </button>
          )}
          <button type="button" onClick={() => void list.restart()}>
            Refresh
          </button>
          <ExportButtons filters={filters} />
        </div>
      </div>
      <FilterBar filters={filters} onChange={(next) => show(next, live)} />
      {live && <TailStatus tail={tail} />}
      {list.error.value !== undefined && (
        <ErrorBox error={list.error.value} retry={() => void list.goOn()} />
      )}
      <Rows list={list} tail={tail} filters={filters} live={live} />
    </>
  );
}

/** The list and the tail for some filters. Both restart if the filters or the tenant change. */
function useRecords(filters: Filters, live: boolean): { list: RecordList; tail: Tail } {
  const key = JSON.stringify([filters, tenant.value]);
  const records = useMemo(() => {
    let query = recordQuery(filters, Date.now());
    const list = new RecordList((cursor, signal) => {
      // A period ends when the list is loaded; the pages after the first are of the same period.
      if (cursor === "") query = recordQuery(filters, Date.now());
      return api.call("ListRecords", { query: { ...query, limit: PAGE, cursor }, signal });
    });
    return { list, tail: new Tail(tailSource(list, filters)) };
  }, [key]);
  const { list, tail } = records;
  useEffect(() => {
    remember(list);
    void list.restart();
    return () => list.stop();
  }, [list]);
  useEffect(() => {
    if (!live) return;
    // A hidden tab holds no connection: browsers have few of them for a server.
    const follow = () => (document.visibilityState === "visible" ? tail.start() : tail.stop());
    // The tail begins where the first page ends, so that no record is between them.
    const stopWaiting = list.loading.subscribe((loading) => {
      if (!loading && list.started) follow();
    });
    document.addEventListener("visibilitychange", follow);
    return () => {
      stopWaiting();
      document.removeEventListener("visibilitychange", follow);
      tail.stop();
    };
  }, [tail, live]);
  return records;
}

function tailSource(list: RecordList, filters: Filters) {
  // New records are in every period that ends now, so the tail has no time.
  const { since: _since, until: _until, ...query } = recordQuery(filters, 0);
  return {
    records: (cursor: string, signal: AbortSignal) =>
      wholeRecords(api.lines("TailRecords", { query: { ...query, cursor }, signal })),
    check: (signal: AbortSignal) => api.call("ListRecords", { query: { limit: 1 }, signal }),
    newest: () => list.newest,
    take: (records: readonly DecisionRecord[]) => list.prepend(records),
    overflow: () => void list.restart(),
  };
}

/** A stream that fails says so in its last line. */
async function* wholeRecords(
  lines: AsyncIterable<DecisionRecord | { readonly error: { readonly message: string } }>,
): AsyncGenerator<DecisionRecord> {
  for await (const line of lines) {
    if ("error" in line) throw new ApiError(503, "STREAM_ENDED", line.error.message);
    yield line;
  }
}

function TailStatus({ tail }: { tail: Tail }) {
  const waiting = tail.waiting.value;
  return (
    <>
      <p class={`tail-status ${tail.state.value}`}>
        <span role="status">
          {tail.state.value === "reconnecting"
            ? "The stream has ended. Connecting again…"
            : "Live: new decisions appear on top."}
        </span>
        {waiting > 0 && ` ${integer(waiting)} new, held while you are on the list.`}
      </p>
      {tail.error.value !== undefined && (
        <ErrorBox error={tail.error.value} retry={() => tail.start()} />
      )}
    </>
  );
}

interface RowsProps {
  readonly list: RecordList;
  readonly tail: Tail;
  readonly filters: Filters;
  readonly live: boolean;
}

function Rows({ list, tail, filters, live }: RowsProps) {
  const host = useRef<HTMLDivElement>(null);
  const rows = list.rows.value;
  const hold = () => tail.hold(host.current?.matches(":hover, :focus-within") === true);
  if (rows.length === 0) return <NoRows list={list} filters={filters} live={live} />;
  return (
    <div
      ref={host}
      onMouseEnter={hold}
      onMouseLeave={hold}
      onFocusIn={hold}
      onFocusOut={() => window.setTimeout(hold)}
    >
      <Table
        label="Decisions"
        columns={COLUMNS}
        rows={rows}
        keyOf={(row) => row.id}
        hrefOf={(row) => href(["decisions", row.id], addressQuery(filters))}
        onEnd={list.more}
        visible={16}
      />
      <p class="soft small list-end">{endOf(list)}</p>
      {list.halted.value && <SearchFurther list={list} />}
    </div>
  );
}

function endOf(list: RecordList): string {
  const { length } = list.rows.value;
  const count = length === 1 ? "1 decision" : `${integer(length)} decisions`;
  if (list.loading.value) return `${count}, loading more…`;
  if (list.full) return `The newest ${integer(MOST_ROWS)} decisions. Export the list to see all.`;
  return list.complete ? `${count}: all that match.` : `${count} so far. Scroll down for more.`;
}

function SearchFurther({ list }: { list: RecordList }) {
  return (
    <p class="row-buttons">
      <button type="button" onClick={() => void list.goOn()}>
        Search older decisions
      </button>
      <span class="soft">Many decisions were read, and none of them matches.</span>
    </p>
  );
}

function NoRows({ list, filters, live }: Omit<RowsProps, "tail">) {
  if (list.halted.value) return <SearchFurther list={list} />;
  if (list.error.value !== undefined) return null;
  if (list.loading.value || !list.complete) return <Progress label="Searching" />;
  if (Object.keys(filters).length > 0) {
    return (
      <Empty title="No decision matches these filters">
        <p>
          Choose a longer time, or <a href={href(["decisions"])}>clear the filters</a>.
        </p>
      </Empty>
    );
  }
  return (
    <Empty title="No decision is recorded yet">
      <p>
        {live ? "The first one appears here by itself. " : ""}
        The logging level of the org policy says which decisions are recorded.
        {may("Simulate") && (
          <>
            {" "}
            <a href={href(["playground"])}>Try a prompt in the playground</a>.
          </>
        )}
      </p>
    </Empty>
  );
}

const COLUMNS: readonly Column<DecisionRow>[] = [
  { name: "Time", width: "var(--time-width)", cell: (row) => <Moment value={row.time} /> },
  {
    name: "Outcome",
    width: "var(--outcome-width)",
    cell: (row) => <Badge value={row.outcome} label={words(row.outcome)} />,
  },
  { name: "Who", width: "minmax(0, 1fr)", cell: (row) => row.who || "–" },
  { name: "Asked", width: "minmax(0, 1fr)", cell: (row) => row.asked || "–", wide: true },
  { name: "Because of", width: "minmax(0, 1.6fr)", cell: (row) => row.because || "–", wide: true },
  {
    name: "Risk",
    width: "6rem",
    cell: (row) => <Badge value={row.risk} label={`${row.score} ${row.risk}`} />,
    wide: true,
  },
];

/** A time; narrow screens show it without the day. */
function Moment({ value }: { value: string }) {
  const [day = "", clock = ""] = time(value).split(" ");
  return (
    <>
      <span class="wide-only">{day} </span>
      {clock}
    </>
  );
}
