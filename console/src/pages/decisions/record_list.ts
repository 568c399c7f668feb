/** The rows of the list: pages that are loaded by cursor, and new records on top. */
import { signal } from "@preact/signals";
import type { ApiError } from "../../api/errors";
import type { AnswerOf } from "../../api/types";
import { asApiError } from "../../ui/remote";
import type { DecisionRow } from "./rows";
import { type DecisionRecord, rowOf } from "./rows";

/** How many rows are kept. More are for an export. */
export const MOST_ROWS = 10_000;
/** How many pages without a row are read before the user is asked whether to go on. */
const EMPTY_PAGES = 5;

export type Page = AnswerOf<"ListRecords">;

export class RecordList {
  readonly rows = signal<readonly DecisionRow[]>([]);
  readonly loading = signal(false);
  readonly error = signal<ApiError | undefined>(undefined);
  /** The cursor of the next page; empty if there is none, undefined before the first page. */
  private readonly next = signal<string | undefined>(undefined);
  /** Whether the search went through many records that do not match, and waits for the user. */
  readonly halted = signal(false);
  private controller = new AbortController();
  /** Where a tail continues the first page, also an empty one. */
  private end = "";

  /** @param page reads the page at a cursor; the first page has an empty one */
  constructor(private readonly page: (cursor: string, signal: AbortSignal) => Promise<Page>) {}

  /** Whether the first page is there. */
  get started(): boolean {
    return this.next.value !== undefined;
  }

  /** Whether all records that match are in the list. */
  get complete(): boolean {
    return this.next.value === "";
  }

  /** Whether the list is as long as it may be, and there are more records. */
  get full(): boolean {
    return !this.complete && this.rows.value.length >= MOST_ROWS;
  }

  /** The cursor of the newest row, or of the end of the log if all rows are older. */
  get newest(): string {
    const cursor = this.rows.peek()[0]?.cursor ?? "";
    return sequence(cursor) > sequence(this.end) ? cursor : this.end;
  }

  /**
   * Loads the first page again; the rows stay until it is there. Records that are put on top
   * meanwhile may be newer than the page, and then stay.
   */
  async restart(): Promise<void> {
    this.stop();
    this.controller = new AbortController();
    this.next.value = undefined;
    const before = sequence(this.newest);
    await this.read("", (page) => {
      const known = sequence(page[0]?.cursor);
      const newer = this.rows
        .peek()
        .filter(({ cursor }) => sequence(cursor) > before && sequence(cursor) > known);
      this.rows.value = [...newer, ...page];
    });
  }

  /** Loads the next page if there is one, and nothing is loading. */
  readonly more = async (): Promise<void> => {
    if (this.loading.peek() || this.halted.peek() || this.error.peek() !== undefined) return;
    await this.goOn();
  };

  /** Loads the next page, also after an error or a halt. */
  readonly goOn = async (): Promise<void> => {
    const cursor = this.next.peek();
    if (this.loading.peek() || cursor === "" || this.rows.peek().length >= MOST_ROWS) return;
    const before = cursor === undefined ? [] : this.rows.peek();
    await this.read(cursor ?? "", (rows) => {
      const present = cursor === undefined ? before : this.rows.peek();
      this.rows.value = [...present, ...rows].slice(0, MOST_ROWS);
    });
  };

  /** Puts new records on top, the oldest of them first. Those that the list has are left out. */
  prepend(records: readonly DecisionRecord[]): void {
    const newest = sequence(this.newest);
    const fresh = records.filter(({ cursor }) => sequence(cursor) > newest).map(rowOf);
    if (fresh.length === 0) return;
    const rows = [...fresh.reverse(), ...this.rows.peek()];
    const last = rows[MOST_ROWS - 1];
    // What falls off the end is loaded again if the list becomes shorter.
    if (rows.length > MOST_ROWS && last !== undefined) this.next.value = last.cursor;
    this.rows.value = rows.slice(0, MOST_ROWS);
  }

  stop(): void {
    this.controller.abort();
  }

  /** Reads pages until one has rows. */
  private async read(from: string, put: (rows: DecisionRow[]) => void): Promise<void> {
    const { signal: aborted } = this.controller;
    this.loading.value = true;
    this.error.value = undefined;
    this.halted.value = false;
    try {
      const { rows, next, end } = await this.search(from, aborted);
      if (aborted.aborted) return;
      put(rows);
      this.end = end;
      this.next.value = next;
      this.halted.value = rows.length === 0 && next !== "";
    } catch (cause) {
      if (!aborted.aborted) this.error.value = asApiError(cause);
    } finally {
      if (!aborted.aborted) this.loading.value = false;
    }
  }

  private async search(from: string, aborted: AbortSignal) {
    let next = from;
    let { end } = this;
    for (let read = 0; read < EMPTY_PAGES; read += 1) {
      const page = await this.page(next, aborted);
      next = page.next_cursor;
      end = page.tail_cursor || end;
      const rows = page.records.map(rowOf);
      if (rows.length > 0 || next === "") return { rows, next, end };
    }
    return { rows: [], next, end };
  }
}

/** Returns a cursor as a number, which is too large for the numbers of JavaScript. */
function sequence(cursor: string | undefined): bigint {
  return BigInt(cursor || "0");
}
