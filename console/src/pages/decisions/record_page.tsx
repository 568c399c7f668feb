/** The page of one decision: why it was made. */
import { useEffect } from "preact/hooks";
import { go, href, location } from "../../router";
import { api } from "../../session";
import { Ago } from "../../ui/ago";
import { Empty, ErrorBox, Progress } from "../../ui/feedback";
import { time } from "../../ui/format";
import { Badge } from "../../ui/outcome";
import { useRemote } from "../../ui/remote";
import { Actions } from "./actions";
import { AskedSection } from "./asked";
import { ChangesSince } from "./changes_since";
import { DutiesSection } from "./duties";
import { addressQuery, filtersOf } from "./filters";
import { neighboursOf } from "./neighbours";
import type { DecisionRecord } from "./rows";
import { headline, question, reason } from "./story";
import { DetailsSection, FindingsSection, LayersSection, RiskSection } from "./story_sections";

export function RecordPage({ id }: { id: string }) {
  const record = useRemote(`record ${id}`, (signal) =>
    api.call("GetRecord", { path: { decision_id: id }, signal }),
  );
  const error = record.error.value;
  const value = record.value.value;
  return (
    <>
      <Position id={id} />
      {error?.status === 404 ? (
        <NoRecord id={id} />
      ) : error !== undefined ? (
        <ErrorBox error={error} retry={record.reload} />
      ) : value === undefined ? (
        <Progress />
      ) : (
        <Story record={value} />
      )}
    </>
  );
}

/** The way back to the list, and to the decisions beside this one. */
function Position({ id }: { id: string }) {
  const query = addressQuery(filtersOf(location.value.query));
  const { newer, older } = neighboursOf(id);
  useEffect(() => {
    const move = (event: KeyboardEvent) => {
      // A key that is held down is faster than this page is shown.
      const beside = neighboursOf(location.peek().parts[1] ?? "");
      const target = { ArrowLeft: beside.newer, ArrowRight: beside.older }[event.key];
      if (target === undefined || isBusy(event)) return;
      event.preventDefault();
      go(["decisions", target], query);
    };
    document.addEventListener("keydown", move);
    return () => document.removeEventListener("keydown", move);
  }, [id]);
  return (
    <nav class="position" aria-label="Place in the list">
      <a href={href(["decisions"], query)}>← All decisions</a>
      <span>
        {newer !== undefined && <a href={href(["decisions", newer], query)}>Newer</a>}
        {older !== undefined && <a href={href(["decisions", older], query)}>Older</a>}
        {(newer ?? older) !== undefined && (
          <span class="soft small wide-only">
            or <kbd>←</kbd> <kbd>→</kbd>
          </span>
        )}
      </span>
    </nav>
  );
}

/** Whether a key belongs to what has the focus: a field, or a text that can be scrolled. */
function isBusy(event: KeyboardEvent): boolean {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return true;
  const target = event.target as HTMLElement;
  return target.closest("input, textarea, select, pre, dialog, [role=rowgroup]") !== null;
}

function NoRecord({ id }: { id: string }) {
  return (
    <Empty title="There is no record of this decision">
      <p>
        The ID is <code>{id}</code>. The logging level may not record such decisions, the retention
        may have removed the record, or it belongs to another tenant.
      </p>
      <p>
        If this is the ID of a request,{" "}
        <a href={href(["decisions"], { request_id: id })}>search the decisions for it</a>.
      </p>
    </Empty>
  );
}

function Story({ record }: { record: DecisionRecord }) {
  return (
    <article class="decision">
      <header class={`panel headline ${record.allowed ? "passed" : "stopped"}`}>
        <h1>{headline(record)}</h1>
        <p class="lead">{reason(record)}</p>
        {record.message !== "" && (
          <p>
            <span class="soft">Message to the caller:</span> {record.message}
          </p>
        )}
        <p class="badges">
          <Badge value={record.outcome} />
          {record.reason_code !== "" && <Badge value={record.reason_code} tone="quiet" />}
          <Badge
            value={record.risk?.level ?? "none"}
            label={`Risk ${record.risk?.score ?? 0} of 100, ${record.risk?.level ?? "none"}`}
          />
          {record.pii_detected && <Badge value="Personal data" tone="quiet" />}
          {record.incomplete && <Badge value="Incomplete" tone="bad" />}
          {record.stale === true && <Badge value="Stale policies" tone="caution" />}
          <span class="soft">
            {time(record.time)} · <Ago time={record.time} />
          </span>
        </p>
      </header>
      <Actions record={record} />
      <section>
        <h2>What was asked</h2>
        <p>{question(record)}</p>
        <AskedSection record={record} />
      </section>
      <LayersSection record={record} />
      <DutiesSection record={record} />
      <div class="cards pair">
        <RiskSection record={record} />
        <FindingsSection record={record} />
      </div>
      <ChangesSince record={record} />
      <DetailsSection record={record} />
    </article>
  );
}
