import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CircuitBreaker,
  DEFAULT_RESILIENCE,
  pauseMs,
  RetryBudget,
} from "#internal/resilience";

test("a circuit opens after failures in a row, and one call tries it again", () => {
  let now = 0;
  const settings = { ...DEFAULT_RESILIENCE, failureThreshold: 2, cooldownMs: 100 };
  const breaker = new CircuitBreaker(settings, () => now);
  assert.equal(breaker.fail(), false);
  breaker.succeed();
  assert.equal(breaker.fail(), false);
  assert.equal(breaker.fail(), true);
  assert.equal(breaker.admit(), false);
  now = 100;
  assert.equal(breaker.admit(), true);
  assert.equal(breaker.admit(), false);
  breaker.fail();
  now = 199;
  assert.equal(breaker.admit(), false);
  now = 200;
  assert.equal(breaker.admit(), true);
  breaker.succeed();
  assert.equal(breaker.state, "closed");
});

test("a trial that is given up is made again", () => {
  const breaker = new CircuitBreaker({ ...DEFAULT_RESILIENCE, failureThreshold: 1, cooldownMs: 0 });
  breaker.fail();
  assert.equal(breaker.admit(), true);
  breaker.release();
  assert.equal(breaker.admit(), true);
});

test("retries are a share of the answered calls", () => {
  const budget = new RetryBudget({ ...DEFAULT_RESILIENCE, retryBurst: 2, retryRatio: 0.5 });
  assert.deepEqual([budget.take(), budget.take(), budget.take()], [true, true, false]);
  budget.add();
  assert.equal(budget.take(), false);
  budget.add();
  assert.equal(budget.take(), true);
});

test("pauses double up to a bound, and a random part is left out", () => {
  const pauses = [0, 1, 2, 9].map((retry) => pauseMs(DEFAULT_RESILIENCE, retry, () => 1));
  assert.deepEqual(pauses, [20, 40, 80, 200]);
  assert.equal(pauseMs(DEFAULT_RESILIENCE, 0, () => 0), 10);
});
