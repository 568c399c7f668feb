/** Rows of the list: what a decision was about and why, in a line. */
import type { AnswerOf, Schemas } from "../../api/types";

export type DecisionRecord = AnswerOf<"ListRecords">["records"][number];
export type Match = Schemas["Match"];

/** A row holds no texts of prompts, so that thousands of rows are small. */
export interface DecisionRow {
  readonly id: string;
  readonly cursor: string;
  readonly time: string;
  readonly outcome: string;
  readonly who: string;
  readonly asked: string;
  readonly because: string;
  readonly risk: string;
  readonly score: number;
}

export function rowOf(record: DecisionRecord): DecisionRow {
  return {
    id: record.decision_id,
    cursor: record.cursor,
    time: record.time ?? "",
    outcome: record.outcome,
    who: subjectName(record),
    asked: [record.tool || record.action, modelName(record)].filter(Boolean).join(" · "),
    because: because(record),
    risk: record.risk?.level ?? "none",
    score: record.risk?.score ?? 0,
  };
}

/** Returns who asked: the user, the agent, or both. */
export function subjectName(record: DecisionRecord): string {
  const { user_id = "", agent_id = "" } = record.subject ?? {};
  return [user_id, agent_id].filter((name) => name !== "").join(" · ");
}

/** Returns `provider/model`, or the part of it that the request named. */
export function modelName(record: DecisionRecord): string {
  const { provider = "", model = "" } = record.model ?? {};
  return [provider, model].filter((name) => name !== "").join("/");
}

/**
 * Returns the match that decided; undefined if no policy did. A match that is only monitored, or
 * that an exception or an approval lets pass, decides nothing.
 */
export function decidingMatch(record: DecisionRecord): Match | undefined {
  const inForce = record.matches.filter(isInForce);
  const outcome = record.outcome.toLowerCase();
  return inForce.find((match) => match.action.toLowerCase() === outcome) ?? inForce[0];
}

export function isInForce(match: Match): boolean {
  return !match.would_be && !match.excepted_by && !match.approved_by;
}

/** Returns the name of the policy; for a customer policy, the customer and the part of it. */
export function matchName({ layer, name, policy_id: id }: Match): string {
  if (name === "") return id;
  return layer === "customer" && name !== id ? `${id}: ${name}` : name;
}

function because(record: DecisionRecord): string {
  const match = decidingMatch(record) ?? record.matches[0];
  if (match === undefined) return record.outcome === "ALLOW" ? "" : record.message;
  const others = record.matches.length - 1;
  return others === 0 ? matchName(match) : `${matchName(match)} +${others}`;
}
