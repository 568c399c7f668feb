/** Calls of operations that a table of sections names. */
import type { Answer, Options } from "../../api/client";
import type { Operation } from "../../api/types";
import { api, may } from "../../session";
import type { Entity } from "./types";

export interface Call {
  readonly path?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly body?: unknown;
  readonly ifMatch?: string;
  readonly signal?: AbortSignal;
}

/**
 * Calls an operation whose name is data. The compiler cannot check what is sent here; the server
 * does, and the forms are made from its contract.
 */
export function send(operation: Operation, call: Call = {}): Promise<Answer<unknown>> {
  return api.send(operation, call as Options<Operation>);
}

/** How many pages are read at the same time. */
const CONCURRENT_PAGES = 6;
/** The size of a page; the most that the numbered lists allow. */
const PAGE_SIZE = 100;

/** Returns a reader of a list that comes as a whole. */
export function wholeList(
  operation: Operation,
  rows: (answer: never) => readonly unknown[] = (answer) => answer,
): (signal: AbortSignal) => Promise<readonly Entity[]> {
  return async (signal) => rows((await send(operation, { signal })).value as never) as Entity[];
}

/** Reads all pages of the static policies, several at a time. `show` gets the first of several. */
export async function allStaticPolicies(
  signal: AbortSignal,
  show: (part: readonly Entity[]) => void = () => undefined,
): Promise<readonly Entity[]> {
  const page = (number: number) =>
    api.call("ListStaticPolicies", { query: { page: number, page_size: PAGE_SIZE }, signal });
  const first = await page(1);
  const count = first.pagination?.total_pages ?? 1;
  const pages = [first.policies];
  if (count > 1) show(first.policies);
  for (let start = 2; start <= count; start += CONCURRENT_PAGES) {
    const length = Math.min(CONCURRENT_PAGES, count - start + 1);
    const numbers = Array.from({ length }, (_one, index) => start + index);
    const answers = await Promise.all(numbers.map(page));
    pages.push(...answers.map((answer) => answer.policies));
  }
  return pages.flat();
}

/**
 * Returns the `ETag` of an entity that has no read of its own: the revision of its last change.
 * Empty if the log has no change of it, or if the caller may not read the log.
 */
export async function tagOf(kind: string, id: string, signal?: AbortSignal): Promise<string> {
  if (!may("ListChanges")) return "";
  const query = { kind, entity_id: id, limit: 1 };
  const { changes } = await api.call("ListChanges", { query, signal });
  const [last] = changes;
  return last === undefined || last.op === "delete" ? "" : `"${last.revision}"`;
}
