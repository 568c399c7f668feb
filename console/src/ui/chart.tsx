/** Series over time. uPlot is loaded when a chart is shown. */
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type uPlot from "uplot";
import { theme } from "../theme";

const darkness = window.matchMedia("(prefers-color-scheme: dark)");
/** Whether the system asks for dark colours. */
const dark = signal(darkness.matches);
darkness.addEventListener("change", () => (dark.value = darkness.matches));

export interface Series {
  readonly name: string;
  /** The name of a custom property with the colour, such as `--bad`. */
  readonly colour: string;
  readonly values: readonly (number | null)[];
}

export interface ChartProps {
  readonly label: string;
  /** Seconds since 1970, ascending. */
  readonly times: readonly number[];
  readonly series: readonly Series[];
  readonly format: (value: number) => string;
  readonly height?: number;
  /** The value that the axis reaches at least, so that small values do not fill it; 1 if unset. */
  readonly least?: number;
  /** Adds the series up, as areas; otherwise they are lines. */
  readonly stacked?: boolean;
}

/** A chart, and the same figures as a table for those who cannot see it. */
export function Chart(props: ChartProps) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  // What is drawn again if it changes; values alone are only replaced.
  const shape = [...props.series.map((series) => series.name), theme.value, dark.value].join();

  useEffect(() => {
    let gone = false;
    let observer: ResizeObserver | undefined;
    void import("./plot").then(({ draw }) => {
      const element = host.current;
      if (gone || element === null) return;
      plot.current = draw(element, props);
      observer = new ResizeObserver(() => {
        plot.current?.setSize({ width: element.clientWidth, height: props.height ?? 180 });
      });
      observer.observe(element);
    });
    return () => {
      gone = true;
      observer?.disconnect();
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [shape]);

  useEffect(() => {
    const current = plot.current;
    if (current !== undefined)
      void import("./plot").then(({ dataOf }) => current.setData(dataOf(props)));
  }, [props.times, props.series]);

  return (
    <figure class="chart">
      <figcaption>{props.label}</figcaption>
      <div ref={host} aria-hidden="true" style={{ minHeight: `${props.height ?? 180}px` }} />
      <details>
        <summary>Figures</summary>
        <Figures {...props} />
      </details>
    </figure>
  );
}

function Figures({ times, series, format }: ChartProps) {
  return (
    <table class="plain-table">
      <thead>
        <tr>
          <th scope="col">Time</th>
          {series.map(({ name }) => (
            <th scope="col" key={name}>
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {times.map((at, index) => (
          <tr key={at}>
            <th scope="row">{new Date(at * 1000).toLocaleTimeString("en-GB")}</th>
            {series.map(({ name, values }) => {
              const value = values[index];
              return (
                <td key={name}>{value === null || value === undefined ? "–" : format(value)}</td>
              );
            })}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
