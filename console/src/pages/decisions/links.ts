/** Addresses of what a decision names: policies, approvals, the playground. */
import { policyHref } from "../../model/layers";
import { href } from "../../router";
import { type DecisionRecord, type Match } from "./rows";

export function matchHref(match: Match): string | undefined {
  return policyHref(match.layer, match.policy_id);
}

/** How long an address for the playground may be. Browsers take more, people do not. */
const LONGEST_ADDRESS = 4_000;

/**
 * Returns the address of the playground with what was asked, as far as the record has it;
 * undefined if the record has nothing to try, or too much for an address.
 */
export function playgroundHref(record: DecisionRecord): string | undefined {
  const judged = judgedQuery(record);
  if (judged === undefined) return undefined;
  const target = href(["playground"], {
    ...judged,
    user: record.subject?.user_id ?? "",
    groups: (record.subject?.groups ?? []).join(","),
    agent: record.subject?.agent_id ?? "",
    customer: record.customer_id,
    provider: record.model?.provider ?? "",
    model: record.model?.model ?? "",
    direction: record.direction === "input" ? "" : record.direction,
  });
  return target.length > LONGEST_ADDRESS ? undefined : target;
}

function judgedQuery(record: DecisionRecord): Record<string, string> | undefined {
  const { redacted_text: text, redacted_arguments: values, payload_format: format } = record;
  const document = values === null ? "" : JSON.stringify(values, null, 2);
  if (format) {
    const body = document || (text ?? "");
    return body === "" ? undefined : { body, format };
  }
  if (record.tool !== "") return { tool: record.tool, action: record.action, arguments: document };
  return text === null || text === "" ? undefined : { text };
}
