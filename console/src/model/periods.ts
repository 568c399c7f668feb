/** Periods that end now, for lists and charts. */

export interface Period {
  /** How addresses name it. */
  readonly key: string;
  /** The words after "Last". */
  readonly label: string;
  readonly seconds: number;
}

export const HOUR: Period = { key: "1h", label: "hour", seconds: 3_600 };

export const PERIODS: readonly Period[] = [
  { key: "15m", label: "15 minutes", seconds: 900 },
  HOUR,
  { key: "6h", label: "6 hours", seconds: 21_600 },
  { key: "24h", label: "24 hours", seconds: 86_400 },
  { key: "7d", label: "7 days", seconds: 604_800 },
];

/** Returns the period of an address; undefined if it names none. */
export function findPeriod(key: string | null): Period | undefined {
  return PERIODS.find((period) => period.key === key);
}
