/** The figures of the period at a glance. */
import type { ComponentChildren } from "preact";
import type { Period } from "../../model/periods";
import { href } from "../../router";
import { Loaded } from "../../ui/feedback";
import { compact, duration, integer } from "../../ui/format";
import { latencySeries, latest, type LiveSummary, type Summary, totalsOf } from "./summary";

export function Totals({ summary, period }: { summary: LiveSummary; period: Period }) {
  return (
    <Loaded remote={summary}>
      {(value) => (
        <>
          <Figures value={value} period={period} />
          <Basis value={value} period={period} />
        </>
      )}
    </Loaded>
  );
}

function Figures({ value, period }: { value: Summary; period: Period }) {
  const totals = totalsOf(value, period);
  const [p50, p99] = latencySeries(value).map(latest);
  const range = { range: period.key };
  const stopped = { ...range, outcome: "PROMPT,ESCALATE,CANCEL,BLOCK" };
  return (
    <dl class="figures">
      <Figure name="Decisions" href={href(["decisions"], range)} note={rate(totals.perSecond)}>
        {compact(totals.made)}
      </Figure>
      <Figure
        name="Not allowed"
        href={href(["decisions"], stopped)}
        note={`${integer(totals.stopped)} of ${integer(totals.made)}`}
      >
        {share(totals.stopped, totals.made)}
      </Figure>
      <Figure
        name="High risk"
        href={href(["decisions"], { ...range, risk_level: "high,critical" })}
        note="recorded decisions"
      >
        {compact(totals.risky)}
      </Figure>
      <Figure name="Latency now" note="p50 of a decision">
        {p50 === undefined ? "–" : duration(p50)}
      </Figure>
      <Figure name="Slowest now" note="p99 of a decision">
        {p99 === undefined ? "–" : duration(p99)}
      </Figure>
    </dl>
  );
}

function Figure({
  name,
  note,
  href: address,
  children,
}: {
  name: string;
  note: string;
  href?: string;
  children: ComponentChildren;
}) {
  return (
    <div class="panel">
      <dt>{address === undefined ? name : <a href={address}>{name}</a>}</dt>
      <dd>
        <strong>{children}</strong>
        <span class="soft small">{note}</span>
      </dd>
    </div>
  );
}

/** What the figures are made of, if it is not everything. */
function Basis({ value, period }: { value: Summary; period: Period }) {
  const { made, recorded } = totalsOf(value, period);
  const notes: string[] = [];
  if (recorded < made) {
    notes.push(
      `${integer(recorded)} of ${integer(made)} decisions were recorded, as the logging level of the org policy says. Risk, latency and the lists below are of these.`,
    );
  }
  if (!value.records_complete) {
    notes.push(`The newest ${integer(value.records_read)} records of the period were read.`);
  }
  if (value.uncounted_before !== undefined) {
    notes.push("Decisions at the beginning of the period were not counted.");
  }
  return notes.length === 0 ? null : <p class="soft small">{notes.join(" ")}</p>;
}

/** `12.4 a second`, or `3 a minute` if that is easier to read. */
export function rate(perSecond: number): string {
  if (perSecond === 0) return "none a second";
  if (perSecond >= 1) return `${compact(perSecond)} a second`;
  const perMinute = perSecond * 60;
  return perMinute >= 1 ? `${compact(perMinute)} a minute` : "less than 1 a minute";
}

function share(part: number, all: number): string {
  if (all === 0) return "–";
  const percent = (part / all) * 100;
  return `${percent > 0 && percent < 10 ? percent.toFixed(1) : Math.round(percent)}%`;
}
