/** Whether the policies are still those that decided. */
import { href } from "../../router";
import { api, may } from "../../session";
import { Loaded } from "../../ui/feedback";
import { integer, time, words } from "../../ui/format";
import { useRemote } from "../../ui/remote";
import type { DecisionRecord } from "./rows";

/** How many changes are listed. */
const SHOWN = 5;
const READ = 100;

export function ChangesSince({ record }: { record: DecisionRecord }) {
  const allowed = may("ListChanges");
  const changes = useRemote(`changes ${record.decision_id}`, async (signal) => {
    if (!allowed) return [];
    const since = record.time === null ? {} : { since: record.time };
    const page = await api.call("ListChanges", { query: { ...since, limit: READ }, signal });
    return page.changes.filter(
      ({ revision, kind }) => revision > record.revision && kind !== "approval",
    );
  });
  return (
    <section>
      <h2>Policies since then</h2>
      <p>
        The policies of revision {integer(record.revision)} decided, {time(record.time)}.
      </p>
      {allowed && (
        <Loaded remote={changes}>
          {(list) =>
            list.length === 0 ? (
              <p>No policy of the tenant has changed since.</p>
            ) : (
              <>
                <p>
                  {list.length === READ ? `${READ} or more changes` : plural(list.length)} since,{" "}
                  <a href={href(["policies", "changes"], { since: record.time ?? "" })}>
                    each with its values
                  </a>
                  . The newest:
                </p>
                <table class="plain-table">
                  <thead>
                    <tr>
                      <th scope="col">When</th>
                      <th scope="col">What</th>
                      <th scope="col">Who</th>
                    </tr>
                  </thead>
                  <tbody>
                    {list.slice(0, SHOWN).map((change) => (
                      <tr key={`${change.revision} ${change.kind} ${change.entity_id}`}>
                        <td>{time(change.at)}</td>
                        <td>
                          {change.summary}{" "}
                          <span class="soft small">
                            {words(change.kind)}, {change.op}
                          </span>
                        </td>
                        <td>{change.actor}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </>
            )
          }
        </Loaded>
      )}
    </section>
  );
}

function plural(count: number): string {
  return count === 1 ? "1 change" : `${count} changes`;
}
