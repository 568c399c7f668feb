/** The period over time. The figures above it show errors, so the charts only wait. */
import { useMemo } from "preact/hooks";
import { Chart } from "../../ui/chart";
import { compact, duration, words } from "../../ui/format";
import {
  latencySeries,
  type LiveSummary,
  outcomeSeries,
  riskSeries,
  type Summary,
  timesOf,
} from "./summary";

export function Charts({ summary }: { summary: LiveSummary }) {
  const value = summary.value.value;
  return value === undefined ? null : <Drawn value={value} />;
}

function Drawn({ value }: { value: Summary }) {
  const drawn = useMemo(
    () => ({
      times: timesOf(value),
      outcomes: outcomeSeries(value, Date.now(), words),
      latency: latencySeries(value),
      risk: riskSeries(value, words),
    }),
    [value],
  );
  return (
    <div class="charts">
      <section class="panel wide">
        <Chart
          label="Decisions a second, by outcome"
          times={drawn.times}
          series={drawn.outcomes}
          format={perSecond}
          stacked
          least={0.01}
          height={220}
        />
      </section>
      <section class="panel">
        <Chart
          label="Latency of a decision"
          times={drawn.times}
          series={drawn.latency}
          format={duration}
          least={100}
        />
      </section>
      <section class="panel">
        <Chart
          label="Recorded decisions, by risk"
          times={drawn.times}
          series={drawn.risk}
          format={compact}
          stacked
        />
      </section>
    </div>
  );
}

function perSecond(value: number): string {
  return value >= 10 || value === 0 ? compact(value) : value.toPrecision(2);
}
