import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ApiError } from "../src/api/errors";
import { MOST_ROWS, type Page, RecordList } from "../src/pages/decisions/record_list";
import type { DecisionRecord } from "../src/pages/decisions/rows";
import { MOST_WAITING, Tail } from "../src/pages/decisions/tail";
import { recordOf } from "./records";

/** Returns records from the newest cursor down. */
function records(newest: number, count: number): DecisionRecord[] {
  return Array.from({ length: count }, (_, index) => numbered(newest - index));
}

function numbered(cursor: number): DecisionRecord {
  return recordOf({ decision_id: `d${cursor}`, cursor: String(cursor) });
}

function pageOf(found: DecisionRecord[], next_cursor = "", tail_cursor = ""): Page {
  return { records: found, next_cursor, tail_cursor };
}

function pages(...answers: Page[]): (cursor: string) => Promise<Page> {
  const all = new Map(answers.map((page, index) => [answers[index - 1]?.next_cursor ?? "", page]));
  return async (cursor) => all.get(cursor) ?? Promise.reject(new Error(`no page at ${cursor}`));
}

const ids = (list: RecordList) => list.rows.value.map(({ id }) => id);

describe("the list", () => {
  test("loads page after page until the end", async () => {
    const list = new RecordList(pages(pageOf(records(9, 2), "8"), pageOf(records(7, 1))));
    await list.restart();
    expect(ids(list)).toEqual(["d9", "d8"]);
    await list.more();
    expect(ids(list)).toEqual(["d9", "d8", "d7"]);
    expect(list.complete).toBe(true);
    await list.more();
    expect(ids(list)).toEqual(["d9", "d8", "d7"]);
  });

  test("goes through pages without a match, and asks before it reads on for long", async () => {
    const empty = (next: number): Page => pageOf([], String(next));
    const list = new RecordList(pages(...[50, 40, 30, 20, 10].map(empty), pageOf(records(5, 1))));
    await list.restart();
    expect([ids(list), list.halted.value]).toEqual([[], true]);
    await list.more();
    expect(ids(list)).toEqual([]);
    await list.goOn();
    expect([ids(list), list.complete]).toEqual([["d5"], true]);
  });

  test("puts new records on top once, in any order", async () => {
    const list = new RecordList(pages(pageOf(records(5, 2))));
    await list.restart();
    list.prepend([numbered(5), numbered(6), numbered(7)]);
    list.prepend([numbered(7)]);
    expect(ids(list)).toEqual(["d7", "d6", "d5", "d4"]);
  });

  test("is continued from the end of the log, also if it is empty or has older rows only", async () => {
    const list = new RecordList(pages(pageOf([], "", "8")));
    expect(list.newest).toBe("");
    await list.restart();
    expect(list.newest).toBe("8");
    const older = new RecordList(
      pages(pageOf([], "50", "90"), pageOf([numbered(5)], "4"), pageOf([numbered(3)])),
    );
    await older.restart();
    await older.more();
    expect([ids(older), older.newest]).toEqual([["d5", "d3"], "90"]);
    older.prepend([numbered(91)]);
    expect(older.newest).toBe("91");
  });

  test("that is loaded again keeps what has come meanwhile, and nothing else", async () => {
    const answers: ((page: Page) => void)[] = [];
    const list = new RecordList(() => new Promise((resolve) => answers.push(resolve)));
    const first = list.restart();
    answers[0]?.(pageOf(records(5, 2)));
    await first;
    const second = list.restart();
    list.prepend([numbered(7)]);
    answers[1]?.(pageOf([numbered(6)]));
    await second;
    expect(ids(list)).toEqual(["d7", "d6"]);
  });

  test("is bounded, and loads again what has fallen off its end", async () => {
    const list = new RecordList(pages(pageOf(records(MOST_ROWS, MOST_ROWS))));
    await list.restart();
    list.prepend([numbered(MOST_ROWS + 1)]);
    expect(list.rows.value.length).toBe(MOST_ROWS);
    expect(list.full).toBe(true);
  });

  test("keeps its rows if a page fails, and goes on at the same place", async () => {
    let fails = true;
    const list = new RecordList(async (cursor) => {
      if (cursor === "") return pageOf(records(3, 1), "3");
      if (fails) throw new ApiError(503, "UNAVAILABLE", "later");
      return pageOf(records(2, 1));
    });
    await list.restart();
    await list.more();
    expect(list.error.value?.code).toBe("UNAVAILABLE");
    fails = false;
    await list.more();
    expect(ids(list)).toEqual(["d3"]);
    await list.goOn();
    expect(ids(list)).toEqual(["d3", "d2"]);
  });
});

describe("the tail", () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  /** A tail whose streams the test writes. */
  function tailOf(streams: (DecisionRecord[] | Error)[]) {
    const log: string[] = [];
    const tail = new Tail({
      async *records(cursor, signal) {
        log.push(`stream after ${cursor}`);
        const stream = streams.shift();
        if (stream instanceof Error) throw stream;
        if (stream !== undefined) return yield* stream;
        await new Promise((_, reject) =>
          signal.addEventListener("abort", () => reject(signal.reason)),
        );
      },
      check: async () => log.push("check"),
      newest: () => "1",
      take: (taken) => log.push(`take ${taken.map(({ cursor }) => cursor).join()}`),
      overflow: () => log.push("overflow"),
    });
    return { tail, log };
  }

  test("hands on what has arrived, and connects again after the last record", async () => {
    const { tail, log } = tailOf([[numbered(2), numbered(3)]]);
    tail.start();
    await vi.advanceTimersByTimeAsync(300);
    expect(tail.state.value).toBe("reconnecting");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(tail.state.value).toBe("live");
    expect(log).toEqual(["stream after 1", "take 2,3", "check", "stream after 1"]);
    tail.stop();
  });

  test("holds records back, and hands them on afterwards", async () => {
    const { tail, log } = tailOf([[numbered(2)]]);
    tail.hold(true);
    tail.start();
    await vi.advanceTimersByTimeAsync(300);
    expect(tail.waiting.value).toBe(1);
    tail.hold(false);
    expect(log).toEqual(["stream after 1", "take 2"]);
    tail.stop();
  });

  test("keeps a bounded number, and asks for the list if there were more", async () => {
    const { tail, log } = tailOf([records(MOST_WAITING + 2, MOST_WAITING + 1).reverse()]);
    tail.start();
    await vi.advanceTimersByTimeAsync(300);
    expect(log).toEqual(["stream after 1", "overflow"]);
    tail.stop();
  });

  test("tries again if the server is unavailable, and gives up if it refuses", async () => {
    const away = new ApiError(0, "UNREACHABLE", "away");
    const { tail, log } = tailOf([away, new ApiError(403, "PERMISSION_DENIED", "no")]);
    tail.start();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(log).toEqual(["stream after 1", "check", "stream after 1"]);
    expect([tail.state.value, tail.error.value?.status]).toEqual(["off", 403]);
  });
});
