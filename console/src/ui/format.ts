/** Numbers, times and names as people read them. */

const INTEGER = new Intl.NumberFormat("en");
const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** `12,345`. */
export function integer(value: number): string {
  return INTEGER.format(value);
}

/** `12.3K`. */
export function compact(value: number): string {
  return COMPACT.format(value);
}

/** `43 µs`, `1.2 ms` or `3.4 s` of microseconds. */
export function duration(us: number): string {
  if (us < 1_000) return `${Math.round(us)} µs`;
  if (us < 1_000_000) return `${(us / 1_000).toFixed(us < 10_000 ? 1 : 0)} ms`;
  return `${(us / 1_000_000).toFixed(1)} s`;
}

/** `2026-11-29 11:52:07`, in the zone of the browser; a dash if there is no time. */
export function time(value: string | null | undefined): string {
  const date = value === null || value === undefined ? undefined : new Date(value);
  if (date === undefined || Number.isNaN(date.getTime())) return "–";
  const two = (part: number) => String(part).padStart(2, "0");
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join("-");
  return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":")}`;
}

const STEPS: readonly (readonly [seconds: number, name: string])[] = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
  [1, "s"],
];

/** `12 s ago`, `in 3 h`; a dash if there is no time. */
export function age(value: string | null | undefined, nowMs: number): string {
  const at = value === null || value === undefined ? Number.NaN : Date.parse(value);
  if (Number.isNaN(at)) return "–";
  const seconds = Math.round((nowMs - at) / 1000);
  const step = STEPS.find(([length]) => Math.abs(seconds) >= length);
  if (step === undefined) return "now";
  const count = `${Math.floor(Math.abs(seconds) / step[0])} ${step[1]}`;
  return seconds < 0 ? `in ${count}` : `${count} ago`;
}

const ABBREVIATIONS = /\b(?:ai|dlp|gdpr|id|ids|json|llm|ner|pii|siem|soc2|url|usd)\b/gi;

/** `Kill switch` of `kill_switch`, `DLP rules` of `dlp_rules`. */
export function words(name: string): string {
  const text = name.replaceAll("_", " ").toLowerCase();
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return capital.replace(ABBREVIATIONS, (word) =>
    word.toLowerCase() === "ids" ? "IDs" : word.toUpperCase(),
  );
}
