package dev.pdp.client;

/** Bounds retries to a part of the calls: each call adds to the budget, each retry takes one. */
final class RetryBudget {
  private static final int CALLS_PER_RETRY = 10;
  private static final int CAPACITY = 10 * CALLS_PER_RETRY;

  private int tokens = CAPACITY;

  /** Reports a call. */
  synchronized void add() {
    tokens = Math.min(tokens + 1, CAPACITY);
  }

  /** Returns whether there may be a retry, and takes it from the budget. */
  synchronized boolean tryTake() {
    if (tokens < CALLS_PER_RETRY) {
      return false;
    }
    tokens -= CALLS_PER_RETRY;
    return true;
  }
}
