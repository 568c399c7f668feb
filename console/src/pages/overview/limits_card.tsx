/** The limits that are nearest to their bounds. */
import { href } from "../../router";
import { api } from "../../session";
import { Ago } from "../../ui/ago";
import { Loaded } from "../../ui/feedback";
import { Badge } from "../../ui/outcome";
import { useRemote } from "../../ui/remote";
import { type LimitUsage, NEAR, nearest, type Nearness } from "./limits";

const EVERY_MS = 15_000;
const SHOWN = 6;

export function LimitsCard() {
  const usage = useRemote("limits", (signal) => api.call("GetLimitUsage", { signal }), EVERY_MS);
  return (
    <section class="panel">
      <h2>Limits near their bounds</h2>
      <Loaded remote={usage}>{(limits) => <Bounds limits={limits} />}</Loaded>
    </section>
  );
}

function Bounds({ limits }: { limits: readonly LimitUsage[] }) {
  const bounds = nearest(limits);
  if (bounds.length === 0) {
    return (
      <p class="soft">
        No limit is in force. <a href={href(["policies", "limits"])}>Limits</a> bound the requests,
        tokens and cost of users and groups.
      </p>
    );
  }
  const near = bounds.filter(({ share }) => share >= NEAR).length;
  return (
    <>
      <ul class="bounds">
        {bounds.slice(0, SHOWN).map((bound) => (
          <BoundItem key={`${bound.limitId} ${bound.bound}`} bound={bound} />
        ))}
      </ul>
      <p class="soft small">
        {near === 0 ? "None" : near} of {bounds.length} bounds {near === 1 ? "is" : "are"} used to{" "}
        {NEAR * 100}% or more.
      </p>
    </>
  );
}

function BoundItem({ bound }: { bound: Nearness }) {
  const label = `${bound.subject}: ${bound.used} of ${bound.limit} ${bound.bound}`;
  return (
    <li>
      <p>
        <a href={href(["policies", "limits", bound.limitId])}>{bound.subject}</a>{" "}
        {bound.share >= 1 ? (
          <Badge value="used up" tone="bad" />
        ) : (
          bound.share >= NEAR && <Badge value="near" tone="caution" />
        )}
      </p>
      <meter
        min={0}
        max={1}
        high={NEAR}
        optimum={0}
        value={Math.min(1, bound.share)}
        aria-label={label}
      />
      <p class="soft small">
        {bound.used} of {bound.limit} {bound.bound}
        {bound.resetsAt !== null && (
          <>
            , free again <Ago time={bound.resetsAt} />
          </>
        )}
      </p>
    </li>
  );
}
