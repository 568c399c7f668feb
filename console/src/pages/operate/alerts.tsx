/** Alert rules: which decisions are reported to whom, and a test of each. */
import { useSignal } from "@preact/signals";
import type { AnswerOf, Schemas } from "../../api/types";
import { href } from "../../router";
import { api, may } from "../../session";
import { Ago } from "../../ui/ago";
import { Empty, ErrorBox, Loaded } from "../../ui/feedback";
import { integer, words } from "../../ui/format";
import { Badge, type Tone } from "../../ui/outcome";
import { useRemote, useTask } from "../../ui/remote";
import { TestOutcome } from "./siem";

type Rule = Schemas["AlertRule"];
type Health = Schemas["AlertRuleHealth"];
type Results = AnswerOf<"TestAlertRules">["results"];

const EVERY_MS = 5_000;

export function Alerts() {
  const remote = useRemote("org-policy", (signal) => api.call("GetOrgPolicy", { signal }));
  return <Loaded remote={remote}>{(policy) => <Rules rules={policy.alert_rules} />}</Loaded>;
}

function Rules({ rules }: { rules: readonly Rule[] }) {
  const health = useRemote(
    "alert-health",
    async (signal): Promise<AnswerOf<"GetAlertHealth">> =>
      may("GetAlertHealth") ? api.call("GetAlertHealth", { signal }) : { rules: [] },
    EVERY_MS,
  );
  const results = useSignal<Results>([]);
  const task = useTask();
  const test = (name?: string) =>
    task.run(async () => {
      const body = name === undefined ? {} : { name };
      const answer = await api.call("TestAlertRules", { body, timeout: 120_000 });
      const tested = new Set(answer.results.map((result) => result.name));
      const others = results.value.filter((result) => !tested.has(result.name));
      results.value = [...others, ...answer.results];
    });
  const editor = <a href={href(["policies", "org-policy"])}>org policy</a>;
  if (rules.length === 0) {
    return <Empty title="There are no alert rules.">Add one to the {editor}.</Empty>;
  }
  return (
    <>
      <div class="toolbar">
        <p class="soft">They are part of the {editor}.</p>
        {may("TestAlertRules") && (
          <button
            type="button"
            class="end"
            disabled={task.running.value}
            onClick={() => void test()}
          >
            {task.running.value ? "Sending…" : "Test all"}
          </button>
        )}
      </div>
      {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
      {health.error.value !== undefined && (
        <ErrorBox error={health.error.value} retry={() => health.reload()} />
      )}
      <div class="cards">
        {rules.map((rule, index) => (
          <RuleCard
            key={index}
            rule={rule}
            health={health.value.value?.rules.find(({ name }) => name === rule.name)}
            results={results.value.filter(({ name }) => name === rule.name)}
            running={task.running.value}
            test={() => void test(rule.name)}
          />
        ))}
      </div>
    </>
  );
}

function RuleCard(props: {
  rule: Rule;
  health: Health | undefined;
  results: Results;
  running: boolean;
  test: () => void;
}) {
  const { rule, health, results, running, test } = props;
  return (
    <section class="panel connector" aria-label={rule.name}>
      <header>
        <h3>{rule.name}</h3>
        <HealthBadge health={health} />
      </header>
      <p>{conditionOf(rule)}</p>
      <p class="soft small">To {receiverOf(rule)}</p>
      <HealthNote health={health} />
      {may("TestAlertRules") && (
        <button type="button" disabled={running} onClick={test}>
          Send a test message
        </button>
      )}
      {results.map(({ success, error }, index) => (
        <TestOutcome key={index} success={success} error={error} />
      ))}
    </section>
  );
}

const HEALTH: Readonly<Record<string, readonly [tone: Tone, label: string]>> = {
  ok: ["good", "Delivers"],
  retrying: ["caution", "Retries"],
  failed: ["bad", "Has failed"],
};

function HealthBadge({ health }: { health: Health | undefined }) {
  if (health === undefined) return null;
  const [tone, label] = HEALTH[health.status] ?? ["quiet", health.status];
  return <Badge value={label} tone={tone} />;
}

/** What a rule has not delivered. */
function HealthNote({ health }: { health: Health | undefined }) {
  if (health === undefined) return null;
  const { queued, queued_since, attempts, dead_letters, last_error } = health;
  return (
    <>
      {queued > 0 && (
        <p class="small">
          {integer(queued)} waiting since <Ago time={queued_since} />
          {attempts > 0 && `, ${integer(attempts)} failed attempts`}
        </p>
      )}
      {dead_letters > 0 && (
        <p class="small removed">
          {integer(dead_letters)} given up: {last_error}
        </p>
      )}
    </>
  );
}

/** Returns which decisions a rule reports, as a sentence. */
export function conditionOf({ condition }: Rule): string {
  const parts = [
    condition?.risk_level_gte ? `the risk is ${condition.risk_level_gte} or higher` : "",
    condition?.action_contains ? `the action contains “${condition.action_contains}”` : "",
    condition?.pii_detected === undefined
      ? ""
      : `${condition.pii_detected ? "" : "no "}personal data was found`,
    condition?.agent_id_eq ? `the agent is ${condition.agent_id_eq}` : "",
    condition?.approval_requested === undefined
      ? ""
      : `${condition.approval_requested ? "an" : "no"} approval is asked for`,
    condition?.expression ? `it meets ${condition.expression}` : "",
  ].filter((part) => part !== "");
  return parts.length === 0 ? "Every decision." : `Decisions if ${parts.join(", and ")}.`;
}

/** Returns the server of a webhook. Its path is a secret. */
export function receiverOf({ notify }: Rule): string {
  const address = notify?.slack_webhook_url ?? "";
  if (address === "") return words("nobody");
  try {
    return new URL(address).host;
  } catch {
    return "a webhook";
  }
}
