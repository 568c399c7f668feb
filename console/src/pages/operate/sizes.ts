/** Sizes as people read them. */

const UNITS = ["B", "KiB", "MiB", "GiB"] as const;

/** `512 B`, `1.5 KiB`, `20 MiB`. */
export function bytes(size: number): string {
  let value = size;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit > 0 && value < 10 ? 1 : 0;
  return `${value.toFixed(digits)} ${UNITS[unit] ?? "B"}`;
}
