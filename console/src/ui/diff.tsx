/** What differs between two JSON values: field by field. */

export interface Difference {
  /** The path of the field, such as `rules[0].name`; empty for the whole value. */
  readonly path: string;
  readonly before: unknown;
  readonly after: unknown;
}

/** How many differences are found at most, so that a huge change does not stop the page. */
const MOST = 500;

/** Returns the fields that differ. Lists are compared position by position. */
export function differences(before: unknown, after: unknown, path = ""): Difference[] {
  if (Object.is(before, after)) return [];
  if (Array.isArray(before) && Array.isArray(after)) {
    const indices = Array.from(
      { length: Math.max(before.length, after.length) },
      (_, index) => index,
    );
    return indices
      .flatMap((index) => differences(before[index], after[index], `${path}[${index}]`))
      .slice(0, MOST);
  }
  if (isObject(before) && isObject(after)) {
    const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
    return names
      .flatMap((name) =>
        differences(before[name], after[name], path === "" ? name : `${path}.${name}`),
      )
      .slice(0, MOST);
  }
  return [{ path, before, after }];
}

export function Diff({ before, after }: { before: unknown; after: unknown }) {
  const found = differences(before, after);
  if (found.length === 0) return <p class="soft">No field differs.</p>;
  return <DifferenceList differences={found} />;
}

export function DifferenceList({ differences: found }: { differences: readonly Difference[] }) {
  return (
    <table class="plain-table">
      <thead>
        <tr>
          <th scope="col">Field</th>
          <th scope="col">Before</th>
          <th scope="col">After</th>
        </tr>
      </thead>
      <tbody>
        {found.map(({ path, before, after }) => (
          <tr key={path}>
            <th scope="row">
              <code>{path === "" ? "(all)" : path}</code>
            </th>
            <td class="removed">{shown(before)}</td>
            <td class="added">{shown(after)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function shown(value: unknown): string {
  if (value === undefined || value === null) return "–";
  return typeof value === "string" ? value : JSON.stringify(value);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
