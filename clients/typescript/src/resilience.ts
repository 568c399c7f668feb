/** Limits of what a client does when a server fails: retries, a circuit breaker, waiting calls. */

/** How a client behaves when a server fails. The defaults suit most programs. */
export interface Resilience {
  /** How often one call is sent at most; by default 3. */
  readonly maxAttempts: number;
  /** How many retries each answered call adds to the budget; by default 0.1. */
  readonly retryRatio: number;
  /** How many retries the budget holds at most, and at first; by default 10. */
  readonly retryBurst: number;
  /** The pause before the first retry, in milliseconds; it doubles, and is random; by default 20. */
  readonly backoffMs: number;
  /** The longest pause, in milliseconds; by default 200. */
  readonly maxBackoffMs: number;
  /** After so many failures in a row, an address gets no calls for a while; by default 5. */
  readonly failureThreshold: number;
  /** How long, in milliseconds; then one call tries the address; by default 1000. */
  readonly cooldownMs: number;
  /** How many calls can wait for an answer; further calls fail at once; by default 1000. */
  readonly maxWaiting: number;
}

/** The defaults of `Resilience`. */
export const DEFAULT_RESILIENCE: Resilience = Object.freeze({
  maxAttempts: 3,
  retryRatio: 0.1,
  retryBurst: 10,
  backoffMs: 20,
  maxBackoffMs: 200,
  failureThreshold: 5,
  cooldownMs: 1000,
  maxWaiting: 1000,
});

/** Returns how long to wait before a retry, which is counted from 0. */
export function pauseMs(settings: Resilience, retry: number, random = Math.random): number {
  const longest = Math.min(settings.maxBackoffMs, settings.backoffMs * 2 ** retry);
  return longest * (0.5 + random() / 2);
}

/** Bounds retries to a share of the answered calls, so that they do not add to an overload. */
export class RetryBudget {
  readonly #settings: Resilience;
  #retries: number;

  constructor(settings: Resilience) {
    this.#settings = settings;
    this.#retries = settings.retryBurst;
  }

  /** Counts a call that got an answer. */
  add(): void {
    const { retryBurst, retryRatio } = this.#settings;
    this.#retries = Math.min(retryBurst, this.#retries + retryRatio);
  }

  /** Returns whether one more retry is within the budget, and counts it. */
  take(): boolean {
    if (this.#retries < 1) return false;
    this.#retries--;
    return true;
  }
}

/** Stops calls to an address that fails, and tries it again after a while. */
export class CircuitBreaker {
  /** `closed` admits calls, `open` admits none, `half_open` waits for the result of one. */
  state: "closed" | "open" | "half_open" = "closed";
  readonly #settings: Resilience;
  readonly #now: () => number;
  #failures = 0;
  #retryAt = 0;

  constructor(settings: Resilience, now: () => number = () => performance.now()) {
    this.#settings = settings;
    this.#now = now;
  }

  /** Returns whether a call may be sent. Report its result by one of the other methods. */
  admit(): boolean {
    if (this.state === "open" && this.#now() >= this.#retryAt) {
      this.state = "half_open";
      return true;
    }
    return this.state === "closed";
  }

  /** Reports that a call got an answer. */
  succeed(): void {
    this.#failures = 0;
    this.state = "closed";
  }

  /** Reports that a call got no answer; returns whether the circuit is open now. */
  fail(): boolean {
    this.#failures++;
    if (this.state === "half_open" || this.#failures >= this.#settings.failureThreshold) {
      this.state = "open";
      this.#retryAt = this.#now() + this.#settings.cooldownMs;
    }
    return this.state === "open";
  }

  /** Reports that a call was given up, so that nothing is known of the server. */
  release(): void {
    if (this.state === "half_open") this.state = "open";
  }
}
