/** Where the server's violations belong in a form. */
import type { Violation } from "../api/errors";

/** Returns a path in one form: `a.b[0]`, also for `a.b.0` and `/a/b/0`. */
export function normalPath(field: string): string {
  return field
    .replace(/^\//, "")
    .replaceAll("/", ".")
    .replace(/\.(\d+)(?=\.|\[|$)/g, "[$1]");
}

/**
 * Returns the violations of a field. A field that has fields of its own gets only those about
 * itself; any other one gets also those about parts of its value.
 */
export function violationsAt(
  violations: readonly Violation[],
  path: string,
  nested: boolean,
): Violation[] {
  return violations.filter(({ field }) => {
    const place = normalPath(field);
    if (place === path) return true;
    return !nested && (place.startsWith(`${path}.`) || place.startsWith(`${path}[`));
  });
}

/** Returns the violations that no field of a form shows, so that none is lost. */
export function unplaced(violations: readonly Violation[], names: readonly string[]): Violation[] {
  return violations.filter(
    ({ field }) => !names.includes(normalPath(field).split(/[.[]/, 1)[0] ?? ""),
  );
}
