/** How many of the decisions of a period a replay can see. */
import { integer, time } from "../../ui/format";
import { Badge } from "../../ui/outcome";
import type { ReplayRun } from "./replay_run";

export function Coverage({ run }: { run: ReplayRun }) {
  const coverage = run.total.coverage;
  if (coverage === undefined) return null;
  const { made, recorded, unrecorded, removed, share, complete, uncounted_before } = coverage;
  if (complete) {
    return (
      <section>
        <h3>Coverage</h3>
        <p>
          All {integer(made)} decisions of the period were recorded, so the replay can see all of
          them.
        </p>
      </section>
    );
  }
  return (
    <section>
      <h3>Coverage</h3>
      <div class="notice caution">
        <p>
          <strong>
            The replay can see {percentOf(share)} of the decisions: {integer(recorded - removed)} of{" "}
            {integer(made)}.
          </strong>{" "}
          The others may change too.
        </p>
        {unrecorded > 0 && (
          <p>
            {integer(unrecorded)} were not recorded. To see more, set the logging level to full, or
            let the tenant record a sample.
          </p>
        )}
        {removed > 0 && <p>The retention has removed {integer(removed)} records since.</p>}
        {typeof uncounted_before === "string" && (
          <p>How many were made before {time(uncounted_before)} is not known.</p>
        )}
      </div>
      <Counts counts={coverage.counts} />
    </section>
  );
}

function percentOf(share: number): string {
  // A share that is not complete is never shown as 100%.
  return `${Math.floor(share * 1_000) / 10}%`;
}

function Counts({ counts }: { counts: NonNullable<ReplayRun["total"]["coverage"]>["counts"] }) {
  if (counts.length === 0) return null;
  return (
    <details>
      <summary>By logging level and outcome</summary>
      <table class="plain-table">
        <thead>
          <tr>
            <th scope="col">Level</th>
            <th scope="col">Outcome</th>
            <th scope="col" class="numeric">
              Made
            </th>
            <th scope="col" class="numeric">
              Recorded
            </th>
          </tr>
        </thead>
        <tbody>
          {counts.map(({ level, outcome, made, recorded }) => (
            <tr key={`${level} ${outcome}`}>
              <td>{level}</td>
              <td>
                <Badge value={outcome} />
              </td>
              <td class="numeric">{integer(made)}</td>
              <td class="numeric">{integer(recorded)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}
