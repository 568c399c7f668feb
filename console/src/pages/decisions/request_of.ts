/** The request of a decision, as far as its record has it: with redacted texts. */
import type { Schemas } from "../../api/types";
import type { DecisionRecord } from "./rows";

export type DecideRequest = Schemas["DecideRequest"];

/** Returns the request without what is empty, so that copies are short. */
export function requestOf(record: DecisionRecord): DecideRequest {
  const { subject, model, target, usage } = record;
  const request = {
    subject: filled({
      user_id: subject?.user_id,
      groups: subject?.groups,
      agent_id: subject?.agent_id,
      risk_score: subject?.risk_score,
    }),
    customer_id: record.customer_id,
    session_id: record.session_id,
    direction: record.direction === "output" ? "output" : "",
    channel: record.channel === "api" ? "api" : "",
    intent_complexity: record.intent_complexity,
    model: filled({ provider: model?.provider, model: model?.model }),
    target: filled({ ...target }),
    usage: filled({ tokens: usage?.tokens || undefined, cost_usd: usage?.cost_usd || undefined }),
    ...judged(record),
  };
  return (filled(request) ?? {}) as DecideRequest;
}

/** Returns what the record does not have of the request; empty if it has all. */
export function missingParts(record: DecisionRecord): string[] {
  const missing: string[] = [];
  if (record.text_length > 0 && record.redacted_text === null) missing.push("the text");
  if (record.arguments_sha256 !== "" && record.redacted_arguments === null)
    missing.push(record.payload_format ? "the payload" : "the arguments");
  return missing;
}

/** Whether values are replaced, so that the same policies need not match again. */
export function isRedacted(record: DecisionRecord): boolean {
  return record.entities.length > 0 || record.obligations.some(({ type }) => type === "REDACT");
}

function judged(record: DecisionRecord): Record<string, unknown> {
  const { redacted_text: text, redacted_arguments: values } = record;
  if (record.payload_format) {
    const body = values === null ? text : JSON.stringify(values);
    return body === null ? {} : { payload: { format: record.payload_format, body } };
  }
  return {
    content: filled({ text }),
    action: record.action,
    tool: record.tool,
    arguments: values,
  };
}

/** Returns an object without empty members; undefined if nothing is left. */
function filled(members: Record<string, unknown>): Record<string, unknown> | undefined {
  const kept = Object.entries(members).filter(([, value]) => !isEmpty(value));
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === "") return true;
  return Array.isArray(value) && value.length === 0;
}
