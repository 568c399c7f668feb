/** What is most frequent: policies, users, agents, models. Each row leads to its decisions. */
import { layerName, policyHref } from "../../model/layers";
import type { Period } from "../../model/periods";
import { href } from "../../router";
import { integer } from "../../ui/format";
import type { LiveSummary, Summary } from "./summary";

interface TopRow {
  readonly key: string;
  readonly name: string;
  readonly note: string;
  /** What the name leads to; the count always leads to the decisions. */
  readonly address: string;
  readonly decisions: string;
  readonly count: number;
  readonly blocked: number;
  readonly blockedDecisions: string;
}

export function TopLists({ summary, period }: { summary: LiveSummary; period: Period }) {
  const value = summary.value.value;
  if (value === undefined) return null;
  return (
    <>
      <TopList
        title="Policies that match most"
        rows={policyRows(value, period)}
        empty="No policy matched."
      />
      <TopList
        title="Users"
        rows={subjectRows("user_id", value.top_users, period)}
        empty="No recorded decision names a user."
      />
      <TopList
        title="Agents"
        rows={subjectRows("agent_id", value.top_agents, period)}
        empty="No recorded decision names an agent."
      />
      <TopList
        title="Models"
        rows={modelRows(value, period)}
        empty="No recorded decision names a model."
      />
    </>
  );
}

function policyRows(value: Summary, period: Period): TopRow[] {
  return value.top_policies.map(({ layer, policy_id, name, count }) => {
    const decisions = decisionsOf({ policy_id }, period);
    return {
      key: `${layer} ${policy_id} ${name}`,
      name: name || policy_id,
      note: layerName(layer),
      address: policyHref(layer, policy_id) ?? decisions,
      decisions,
      count,
      blocked: 0,
      blockedDecisions: "",
    };
  });
}

function subjectRows<Key extends "user_id" | "agent_id">(
  key: Key,
  subjects: readonly (Record<Key, string> & { count: number; blocked: number })[],
  period: Period,
): TopRow[] {
  return subjects.map((subject) => {
    const filter = { [key]: subject[key] };
    const decisions = decisionsOf(filter, period);
    return {
      key: subject[key],
      name: subject[key],
      note: "",
      address: decisions,
      decisions,
      count: subject.count,
      blocked: subject.blocked,
      blockedDecisions: decisionsOf({ ...filter, outcome: "BLOCK" }, period),
    };
  });
}

function modelRows(value: Summary, period: Period): TopRow[] {
  return value.top_models.map(({ provider, model, count }) => {
    const decisions = decisionsOf({ provider, model }, period);
    return {
      key: `${provider}/${model}`,
      name: model || "any model",
      note: provider,
      address: decisions,
      decisions,
      count,
      blocked: 0,
      blockedDecisions: "",
    };
  });
}

function decisionsOf(filters: Record<string, string>, period: Period): string {
  return href(["decisions"], { ...filters, range: period.key });
}

function TopList({
  title,
  rows,
  empty,
}: {
  title: string;
  rows: readonly TopRow[];
  empty: string;
}) {
  const most = Math.max(1, ...rows.map(({ count }) => count));
  return (
    <section class="panel top-list">
      <h2>{title}</h2>
      {rows.length === 0 && <p class="soft">{empty}</p>}
      <ul>
        {rows.map((row) => (
          <li key={row.key}>
            <span
              class="bar"
              style={{ width: `${(row.count / most) * 100}%` }}
              aria-hidden="true"
            />
            <a class="name" href={row.address} title={row.name}>
              {row.name}
            </a>
            {row.note !== "" && <span class="soft small note">{row.note}</span>}
            {row.blocked > 0 && (
              <a class="small blocked" href={row.blockedDecisions}>
                {integer(row.blocked)} blocked
              </a>
            )}
            <a class="count" href={row.decisions} aria-label={`${row.count} decisions`}>
              {integer(row.count)}
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}
