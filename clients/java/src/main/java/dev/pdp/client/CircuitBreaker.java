package dev.pdp.client;

import java.util.function.LongSupplier;

/** Fails fast after consecutive failures, for a while; then lets one call try. */
final class CircuitBreaker {
  private final int threshold;
  private final long openNanos;
  private final LongSupplier clock;

  private int failures;
  private boolean trial;
  private long openedAt;

  /**
   * Creates a breaker.
   *
   * @param threshold after how many consecutive failures to fail fast
   * @param openNanos for how long
   * @param clock returns the time in nanoseconds
   */
  CircuitBreaker(int threshold, long openNanos, LongSupplier clock) {
    this.threshold = threshold;
    this.openNanos = openNanos;
    this.clock = clock;
  }

  /**
   * Returns whether a call may start. Its end must be reported by {@link #succeed}, {@link #fail}
   * or {@link #skip}.
   */
  synchronized boolean tryStart() {
    if (failures < threshold) {
      return true;
    }
    if (trial || clock.getAsLong() - openedAt < openNanos) {
      return false;
    }
    trial = true;
    return true;
  }

  /** Returns whether the last call failed. */
  synchronized boolean isFailing() {
    return failures > 0;
  }

  /** Reports that a server answered. */
  synchronized void succeed() {
    failures = 0;
    trial = false;
  }

  /** Reports that no server answered. */
  synchronized void fail() {
    failures = Math.min(failures + 1, threshold);
    if (failures >= threshold) {
      openedAt = clock.getAsLong();
    }
    trial = false;
  }

  /** Reports a call that says nothing about the server, for instance because it was cancelled. */
  synchronized void skip() {
    trial = false;
  }
}
