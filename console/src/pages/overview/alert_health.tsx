/** Whether the alerts of the tenant are delivered, rule by rule. */
import type { AnswerOf } from "../../api/types";
import { href } from "../../router";
import { api } from "../../session";
import { Loaded } from "../../ui/feedback";
import { Badge } from "../../ui/outcome";
import { useRemote } from "../../ui/remote";

type Rule = AnswerOf<"GetAlertHealth">["rules"][number];

const EVERY_MS = 15_000;
const TONES: Readonly<Record<string, string>> = { ok: "low", retrying: "medium", failed: "high" };

export function AlertHealth() {
  const health = useRemote(
    "alert health",
    (signal) => api.call("GetAlertHealth", { signal }),
    EVERY_MS,
  );
  return (
    <>
      <h3>Alerts</h3>
      <Loaded remote={health}>
        {({ rules }) =>
          rules.length === 0 ? (
            <p class="soft">
              No alert rule is set. <a href={href(["policies", "org-policy"])}>The org policy</a>{" "}
              has them: they send messages about risky decisions.
            </p>
          ) : (
            <ul class="plain-list">
              {rules.map((rule) => (
                <RuleItem key={rule.name} rule={rule} />
              ))}
            </ul>
          )
        }
      </Loaded>
    </>
  );
}

function RuleItem({ rule }: { rule: Rule }) {
  const notes = [
    rule.queued > 0 ? `${rule.queued} wait` : "",
    rule.dead_letters > 0 ? `${rule.dead_letters} given up: ${rule.last_error}` : "",
  ].filter((note) => note !== "");
  return (
    <li>
      <Badge value={TONES[rule.status] ?? "quiet"} label={rule.status} /> {rule.name}
      {notes.length > 0 && <span class="soft small"> {notes.join(", ")}</span>}
    </li>
  );
}
