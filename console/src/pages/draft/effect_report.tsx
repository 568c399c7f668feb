/** What a replay has found, in words. */
import { layerName } from "../../model/layers";
import { href } from "../../router";
import { Empty } from "../../ui/feedback";
import { integer, time } from "../../ui/format";
import { Badge } from "../../ui/outcome";
import { Coverage } from "./coverage";
import { PERIODS, type ReplayRun } from "./replay_run";
import {
  type ChangeTotal,
  estimate,
  type ReasonCount,
  type Sample,
  type Total,
} from "./replay_total";

export function EffectReport({ run }: { run: ReplayRun }) {
  const { total, state } = run;
  if (state === "running" && total.replayed === 0) return null;
  return (
    <section class="effect" aria-label="Result of the replay">
      <Headline run={run} />
      {total.samples !== undefined && <Estimates total={total} samples={total.samples} />}
      {total.changes.map((change) => (
        <ChangeGroup key={`${change.from} ${change.to}`} change={change} />
      ))}
      <Coverage run={run} />
      <Reasons
        title="Not replayed"
        about="These decisions could not be made again, so they are in none of the numbers above."
        counts={total.notReplayed}
      />
      <Reasons
        title="Gaps"
        about="These decisions were replayed, but a part of the policies could not be applied to them, because a record has no raw text."
        counts={total.gaps}
      />
      {total.onOtherPolicies > 0 && (
        <p class="soft">
          {integer(total.onOtherPolicies)} of the decisions were made on other policies than those
          now in force. A difference there may come from changes since then.
        </p>
      )}
    </section>
  );
}

function Headline({ run }: { run: ReplayRun }) {
  const { replayed, changed, progress } = run.total;
  const percent = Math.floor(progress * 100);
  const rest: Partial<Record<ReplayRun["state"], string>> = {
    limited: `The limit of ${integer(run.selection.limit)} records was reached: these are the oldest ${percent}% of the period.`,
    stopped: `You stopped it: these are the oldest ${percent}% of the period.`,
    failed: `It failed: these are the oldest ${percent}% of the period.`,
  };
  const note = rest[run.state];
  return (
    <header>
      <h2 aria-live="polite">
        {replayed === 0
          ? "No recorded decisions to replay"
          : `${integer(changed)} of ${integer(replayed)} decisions would change`}
      </h2>
      <p class="soft">
        Decisions of {PERIODS[run.selection.period]}: {time(run.since.toISOString())} to{" "}
        {time(run.until.toISOString())}. {note}
      </p>
      {replayed === 0 && run.state === "finished" && (
        <Empty title="The period has no recorded decisions of this kind.">
          <p class="soft">Choose a longer period or other outcomes.</p>
        </Empty>
      )}
    </header>
  );
}

function Estimates({ total, samples }: { total: Total; samples: readonly Sample[] }) {
  const changed = estimate(samples, (one) => one.changed);
  const all = estimate(samples, (one) => one.replayed);
  return (
    <p class="notice">
      Some records are from a sample. In all, about{" "}
      <strong>{integer(Math.round(changed.count))}</strong> of {integer(Math.round(all.count))}{" "}
      decisions would change; with a probability of 95%, between {integer(Math.round(changed.low))}{" "}
      and {integer(Math.round(changed.high))}.
      {total.changed === 0 && " None of the sample would change, but others may."}
    </p>
  );
}

function ChangeGroup({ change }: { change: ChangeTotal }) {
  const { from, to, count, policies, examples, samples } = change;
  const all = samples === undefined ? undefined : estimate(samples, (one) => one.changed);
  return (
    <article class="panel change" aria-label={`From ${from} to ${to}`}>
      <header>
        <h3>
          <Badge value={from} /> <span aria-label="to">→</span> <Badge value={to} />
        </h3>
        <strong>{count === 1 ? "1 decision" : `${integer(count)} decisions`}</strong>
        {all !== undefined && (
          <span class="soft small">
            about {integer(Math.round(all.count))} in all ({integer(Math.round(all.low))} to{" "}
            {integer(Math.round(all.high))})
          </span>
        )}
      </header>
      {policies.length > 0 && <Policies policies={policies} />}
      <Examples examples={examples} />
    </article>
  );
}

function Policies({ policies }: { policies: ChangeTotal["policies"] }) {
  return (
    <table class="plain-table">
      <thead>
        <tr>
          <th scope="col">Because of</th>
          <th scope="col">Effect</th>
          <th scope="col" class="numeric">
            Decisions
          </th>
        </tr>
      </thead>
      <tbody>
        {policies.map((policy) => (
          <tr key={`${policy.layer} ${policy.policy_id} ${policy.effect}`}>
            <th scope="row">
              {policy.name === "" ? policy.policy_id : policy.name}{" "}
              <span class="soft small">{layerName(policy.layer)}</span>
            </th>
            <td>{effectOf(policy)}</td>
            <td class="numeric">{integer(policy.count)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** `now matches (block)`, in words. */
function effectOf(policy: ChangeTotal["policies"][number]): string {
  const { effect, from_action = "", to_action = "" } = policy;
  if (effect === "added") return `now matches (${to_action})`;
  if (effect === "gone") return `no longer matches (${from_action})`;
  if (from_action === to_action) return `matches with another effect (${to_action})`;
  return `${from_action} becomes ${to_action}`;
}

function Examples({ examples }: { examples: ChangeTotal["examples"] }) {
  return (
    <>
      <h4>Examples</h4>
      <ul class="examples">
        {examples.map(({ decision_id, time: at, user_id, policy_name, reason, message }) => (
          <li key={decision_id}>
            <a href={href(["decisions", decision_id])}>{time(at)}</a>{" "}
            {user_id !== "" && <strong>{user_id}</strong>}{" "}
            {policy_name !== "" && <span>{policy_name}</span>}
            {(reason !== "" || message !== "") && (
              <span class="soft">: {reason === "" ? message : reason}</span>
            )}
          </li>
        ))}
      </ul>
    </>
  );
}

function Reasons({
  title,
  about,
  counts,
}: {
  title: string;
  about: string;
  counts: readonly ReasonCount[];
}) {
  if (counts.length === 0) return null;
  return (
    <section>
      <h3>{title}</h3>
      <p class="soft">{about}</p>
      <table class="plain-table">
        <tbody>
          {counts.map(({ reason, count }) => (
            <tr key={reason}>
              <th scope="row">{reason}</th>
              <td class="numeric">{integer(count)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
