/** What was applied in this tab, with the way back. */
import { may } from "../../session";
import { integer, time } from "../../ui/format";
import { applied, type Applied } from "./applied";
import { ServerChanges } from "./change_view";
import { Remarks } from "./problem_view";
import { RollbackButton } from "./rollback";

export function AppliedList() {
  const list = applied.value;
  if (list.length === 0) return null;
  return (
    <section>
      <h2>Applied in this tab</h2>
      {list.map((one) => (
        <AppliedCard key={one.revision} one={one} newest={list[0]?.revision ?? one.revision} />
      ))}
    </section>
  );
}

function AppliedCard({ one, newest }: { one: Applied; newest: number }) {
  const { revision, previousRevision, changes, warnings, rolledBackIn } = one;
  return (
    <article class="panel change" aria-label={one.summary}>
      <header>
        <h3>{one.summary}</h3>
        <span class="soft small">
          revision {revision} · {time(one.at)}
        </span>
        {rolledBackIn > 0 ? (
          <span class="badge quiet">rolled back in revision {rolledBackIn}</span>
        ) : (
          may("RollbackPolicyFile") &&
          changes.length > 0 && (
            <RollbackButton
              revision={previousRevision}
              known={newest}
              label={`Roll back to revision ${previousRevision}`}
            />
          )
        )}
      </header>
      <Remarks remarks={warnings} />
      <details>
        <summary>
          {changes.length === 1 ? "One change" : `${integer(changes.length)} changes`}
        </summary>
        <ServerChanges changes={changes} />
      </details>
    </article>
  );
}
