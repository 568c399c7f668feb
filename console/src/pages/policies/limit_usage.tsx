/** What a limit has left. */
import { api, may } from "../../session";
import { Ago } from "../../ui/ago";
import { Loaded } from "../../ui/feedback";
import { integer } from "../../ui/format";
import { useRemote } from "../../ui/remote";
import type { EntityProps } from "./types";
import { BOUNDS, boundName, share } from "./usage";

/** How often the usage is read, in milliseconds. */
const EVERY_MS = 5_000;

export function LimitUsage({ id }: EntityProps) {
  if (!may("GetLimitUsage")) return null;
  return <Usage id={id} />;
}

function Usage({ id }: { id: string }) {
  const remote = useRemote(
    `usage ${id}`,
    async (signal) => {
      const all = await api.call("GetLimitUsage", { signal });
      return all.find((one) => one.limit_id === id) ?? null;
    },
    EVERY_MS,
  );
  return (
    <section class="panel form-group" aria-label="Usage">
      <h2>Used now</h2>
      <Loaded remote={remote}>
        {(usage) =>
          usage === null ? (
            <p class="soft">Nothing is counted for this limit.</p>
          ) : (
            <table class="plain-table">
              <thead>
                <tr>
                  <th scope="col">Bound</th>
                  <th scope="col">Used</th>
                  <th scope="col">Resets</th>
                </tr>
              </thead>
              <tbody>
                {BOUNDS.map((bound) => {
                  const one = usage[bound];
                  if (one === null) return null;
                  const part = share(one);
                  return (
                    <tr key={bound}>
                      <th scope="row">{boundName(bound)}</th>
                      <td>
                        {part === undefined ? (
                          `${integer(one.used)}, unlimited`
                        ) : (
                          <>
                            <meter
                              min={0}
                              max={1}
                              high={0.9}
                              low={0.75}
                              optimum={0}
                              value={Math.min(1, part)}
                              aria-label={boundName(bound)}
                            />{" "}
                            {integer(one.used)} of {integer(one.limit ?? 0)}
                          </>
                        )}
                      </td>
                      <td>{part === undefined ? "" : <Ago time={one.resets_at} />}</td>
                    </tr>
                  );
                })}
              </tbody>
            </table>
          )
        }
      </Loaded>
    </section>
  );
}
