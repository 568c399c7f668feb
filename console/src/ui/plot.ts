/** uPlot, set up for the console. A chunk of its own: most pages need none. */
import uPlot from "uplot";
import type { ChartProps } from "./chart";
import "uplot/dist/uPlot.min.css";

/** Returns the data of a chart; of a stacked one, the running totals. */
export function dataOf({ times, series, stacked }: ChartProps): uPlot.AlignedData {
  const columns = series.map(({ values }) => [...values]);
  if (stacked === true) {
    for (let column = 1; column < columns.length; column += 1) {
      columns[column] = (columns[column] ?? []).map(
        (value, row) => (value ?? 0) + (columns[column - 1]?.[row] ?? 0),
      );
    }
  }
  return [[...times], ...columns];
}

export function draw(host: HTMLElement, props: ChartProps): uPlot {
  const style = getComputedStyle(host);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colour("--soft"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    font: "12px system-ui, sans-serif",
  };
  const lines = props.series.map(({ name, colour: token }, index): uPlot.Series => {
    const stroke = colour(token);
    return {
      label: name,
      stroke,
      width: 1.5,
      // A value between two that are missing has no line.
      points: { show: props.stacked !== true, size: 4, fill: stroke },
      ...(props.stacked === true && index === 0 ? { fill: `${stroke}55` } : {}),
      value: (_plot, value: number | null) => (value === null ? "–" : props.format(value)),
    };
  });
  const bands =
    props.stacked === true
      ? props.series.slice(1).map(({ colour: token }, index) => ({
          series: [index + 2, index + 1] as [number, number],
          fill: `${colour(token)}55`,
        }))
      : [];
  const legendFill = (_plot: uPlot, index: number) => {
    const token = props.series[index - 1]?.colour;
    return token === undefined || props.stacked !== true ? "transparent" : `${colour(token)}55`;
  };
  return new uPlot(
    {
      width: host.clientWidth,
      height: props.height ?? 180,
      legend: { show: true, live: false, markers: { fill: legendFill } },
      cursor: { y: false },
      axes: [
        { ...axis, size: 30, values: (_plot, ticks) => ticks.map(clock) },
        { ...axis, size: 64, values: (_plot, ticks) => ticks.map((tick) => props.format(tick)) },
      ],
      scales: { y: { range: (_plot, _low, high) => [0, Math.max(high, props.least ?? 1) * 1.1] } },
      series: [{}, ...lines],
      bands,
    },
    dataOf(props),
    host,
  );
}

/** `14:05`; at midnight the day, `11-29`. */
function clock(seconds: number): string {
  const date = new Date(seconds * 1_000);
  const two = (part: number) => String(part).padStart(2, "0");
  const [hours, minutes] = [date.getHours(), date.getMinutes()];
  return hours === 0 && minutes === 0
    ? `${two(date.getMonth() + 1)}-${two(date.getDate())}`
    : `${two(hours)}:${two(minutes)}`;
}
