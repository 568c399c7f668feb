/** The change log: reading its pages, and what differs in an entry. */
import type { QueryOf, Schemas } from "../../api/types";
import { isRecord } from "../../forms/fields";
import { api } from "../../session";

export type Change = Schemas["PolicyChange"];
export type ChangeQuery = Partial<QueryOf<"ListChanges">>;

/** Fields that change with every write, and say nothing about it. */
const BOOKKEEPING = new Set(["created_at", "updated_at", "version"]);

/** Returns the values of an entry without those that every write changes. */
export function withoutBookkeeping(body: unknown): Record<string, unknown> {
  if (!isRecord(body)) return {};
  return Object.fromEntries(Object.entries(body).filter(([name]) => !BOOKKEEPING.has(name)));
}

export interface ChangePage {
  readonly changes: readonly Change[];
  readonly cursor: string;
  /** Whether changes further back were removed because of their age. */
  readonly removed: boolean;
}

/** Reads a page of the log of the tenant, or of what all tenants share. */
export async function readChanges(
  query: ChangeQuery,
  platform: boolean,
  signal?: AbortSignal,
): Promise<ChangePage> {
  const options = { query, signal };
  const answer = platform
    ? await api.call("ListPlatformChanges", options)
    : await api.call("ListChanges", options);
  const removed = "removed_through" in answer && Number(answer.removed_through ?? 0) > 0;
  return { changes: answer.changes, cursor: answer.next_cursor, removed };
}
