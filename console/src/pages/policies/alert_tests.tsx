/** Sends test messages to the webhooks of alert rules. */
import { useSignal } from "@preact/signals";
import type { AnswerOf } from "../../api/types";
import { api, may } from "../../session";
import { ErrorBox } from "../../ui/feedback";
import { Badge } from "../../ui/outcome";
import { useTask } from "../../ui/remote";
import type { EntityProps } from "./types";

type Results = AnswerOf<"TestAlertRules">["results"];

export function AlertTests({ entity }: EntityProps) {
  const rules = (entity["alert_rules"] ?? []) as readonly { name: string }[];
  const results = useSignal<Results | undefined>(undefined);
  const task = useTask();
  if (!may("TestAlertRules") || rules.length === 0) return null;
  const run = (name?: string) =>
    task.run(async () => {
      const body = name === undefined ? {} : { name };
      const answer = await api.call("TestAlertRules", { body, timeout: 0 });
      results.value = answer.results;
    });
  return (
    <section class="panel form-group" aria-label="Test of the alert rules">
      <h2>Test the alerts</h2>
      <p class="help">Sends one test message to the webhook of each rule, as it is saved now.</p>
      <div class="row-buttons">
        <button type="button" disabled={task.running.value} onClick={() => void run()}>
          {task.running.value ? "Sending…" : "Send to all"}
        </button>
        {rules.map(({ name }) => (
          <button
            type="button"
            key={name}
            disabled={task.running.value}
            onClick={() => void run(name)}
          >
            {name}
          </button>
        ))}
      </div>
      {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
      {results.value !== undefined && (
        <ul role="status">
          {results.value.map(({ name, success, error }) => (
            <li key={name}>
              <Badge value={success ? "low" : "high"} label={success ? "accepted" : "failed"} />{" "}
              {name}
              {error !== null && error !== "" && `: ${error}`}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
