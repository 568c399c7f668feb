/** The URL of a webhook is a secret: anyone who has it can post there. */
import { type Document, entriesOf, isObject, withEntries } from "./document";

const REFERENCE = /^\$\{[A-Za-z_][A-Za-z0-9_]*\}$/;

/** Returns policies in which each URL of a webhook is empty, unless it is a reference. */
export function withoutWebhooks(policies: Document): Document {
  const [policy] = entriesOf(policies, "org_policy");
  const rules = policy?.["alert_rules"];
  if (policy === undefined || !Array.isArray(rules)) return policies;
  return withEntries(policies, "org_policy", [{ ...policy, alert_rules: rules.map(hidden) }]);
}

function hidden(rule: unknown): unknown {
  if (!isObject(rule) || !isObject(rule["notify"])) return rule;
  const url = rule["notify"]["slack_webhook_url"];
  if (typeof url !== "string" || REFERENCE.test(url)) return rule;
  return { ...rule, notify: { ...rule["notify"], slack_webhook_url: "" } };
}
