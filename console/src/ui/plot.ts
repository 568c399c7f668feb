/** uPlot, set up for the console. A chunk of its own: most pages need none. */
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { ChartProps } from "./chart";

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
      points: { show: false },
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
  return new uPlot(
    {
      width: host.clientWidth,
      height: props.height ?? 180,
      legend: { show: true, live: false },
      cursor: { y: false },
      axes: [
        axis,
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
