/** New records as they are written: a stream that connects again, with a bounded buffer. */
import { signal } from "@preact/signals";
import { ApiError } from "../../api/errors";
import type { DecisionRecord } from "./rows";

/** How many records wait for the list at most; if there are more, the list is loaded again. */
export const MOST_WAITING = 1_000;
/** How often the list gets what has arrived: often enough to be live, seldom enough to be cheap. */
const FLUSH_MS = 250;
const RETRY_MS = [1_000, 2_000, 4_000, 8_000, 15_000] as const;

export type TailState = "off" | "live" | "reconnecting";

export interface TailSource {
  /** Yields the records after a cursor; an empty cursor means from now on. */
  records(cursor: string, signal: AbortSignal): AsyncIterable<DecisionRecord>;
  /** Returns if the server can be reached. A stream without records does not show it. */
  check(signal: AbortSignal): Promise<unknown>;
  /** Returns the cursor of the newest record that the list has. */
  newest(): string;
  /** Takes records that have arrived, the oldest first. */
  take(records: readonly DecisionRecord[]): void;
  /** More has arrived than the buffer holds: the list must be loaded again. */
  overflow(): void;
}

export class Tail {
  readonly state = signal<TailState>("off");
  readonly error = signal<ApiError | undefined>(undefined);
  /** How many records wait for the list. */
  readonly waiting = signal(0);
  private buffer: DecisionRecord[] = [];
  private overflowed = false;
  private controller: AbortController | undefined;
  private timer: number | undefined;
  private held = false;

  constructor(private readonly source: TailSource) {}

  /** Starts the stream after the newest record of the list. Does nothing if it runs. */
  start(): void {
    if (this.controller !== undefined) return;
    this.controller = new AbortController();
    this.error.value = undefined;
    this.state.value = "live";
    void this.run(this.controller.signal);
  }

  /** Ends the stream; what waits is dropped, because the next start reads it again. */
  stop(): void {
    this.controller?.abort();
    this.controller = undefined;
    this.empty();
    this.state.value = "off";
  }

  /** Holds new records back, for instance while the user points at a row. */
  hold(held: boolean): void {
    this.held = held;
    if (!held) this.flush();
  }

  private async run(aborted: AbortSignal): Promise<void> {
    let failures = 0;
    while (!aborted.aborted) {
      try {
        if (this.state.peek() === "reconnecting") await this.source.check(aborted);
        this.state.value = "live";
        for await (const record of this.source.records(this.cursor(), aborted)) {
          failures = 0;
          this.arrive(record);
        }
      } catch (cause) {
        if (aborted.aborted) return;
        if (isRefusal(cause)) return this.fail(cause);
      }
      if (aborted.aborted) return;
      this.state.value = "reconnecting";
      await pause(RETRY_MS[Math.min(failures, RETRY_MS.length - 1)] ?? 0, aborted);
      failures += 1;
    }
  }

  private fail(error: ApiError): void {
    this.stop();
    this.error.value = error;
  }

  private cursor(): string {
    return this.buffer.at(-1)?.cursor ?? this.source.newest();
  }

  private arrive(record: DecisionRecord): void {
    this.buffer.push(record);
    if (this.buffer.length > MOST_WAITING) {
      this.buffer.shift();
      this.overflowed = true;
    }
    this.timer ??= window.setTimeout(() => this.flush(), FLUSH_MS);
  }

  private flush(): void {
    window.clearTimeout(this.timer);
    this.timer = undefined;
    this.waiting.value = this.buffer.length;
    if (this.held || this.buffer.length === 0) return;
    const records = this.buffer;
    const overflowed = this.overflowed;
    this.empty();
    if (overflowed) this.source.overflow();
    else this.source.take(records);
  }

  private empty(): void {
    window.clearTimeout(this.timer);
    this.timer = undefined;
    this.buffer = [];
    this.overflowed = false;
    this.waiting.value = 0;
  }
}

/** Whether the server refuses the stream, so that asking again is of no use. */
function isRefusal(cause: unknown): cause is ApiError {
  return cause instanceof ApiError && !cause.unavailable && cause.status !== 429;
}

function pause(ms: number, aborted: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = window.setTimeout(resolve, ms);
    aborted.addEventListener("abort", () => (window.clearTimeout(timer), resolve()));
  });
}
