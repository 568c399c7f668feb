/** The metrics of the server, as Prometheus reads them. */
import { errorOf } from "../../api/errors";

/** Returns the sum of each metric over all its labels. */
export function parseMetrics(page: string): Map<string, number> {
  const sums = new Map<string, number>();
  for (const line of page.split("\n")) {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{.*\})? (\S+)/.exec(line);
    if (match === null) continue;
    const [, name = "", value = ""] = match;
    sums.set(name, (sums.get(name) ?? 0) + Number(value.replace("Inf", "Infinity")));
  }
  return sums;
}

/** Reads the metrics. They name no tenant, so that they need no credential. */
export async function readMetrics(signal: AbortSignal): Promise<Map<string, number>> {
  const response = await fetch("/metrics", { signal, credentials: "omit", cache: "no-store" });
  if (!response.ok) throw await errorOf(response);
  return parseMetrics(await response.text());
}
