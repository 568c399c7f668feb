package dev.pdp.client;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

/** The breaker fails fast after failures in a row, and then lets one call try. */
class CircuitBreakerTest {
  private final AtomicLong clock = new AtomicLong();
  private final CircuitBreaker breaker = new CircuitBreaker(2, 100, clock::get);

  private void fail() {
    assertTrue(breaker.tryStart());
    breaker.fail();
  }

  @Test
  void itOpensAfterFailuresInARow() {
    fail();
    assertTrue(breaker.tryStart());
    breaker.succeed();
    fail();
    fail();
    assertFalse(breaker.tryStart());
  }

  @Test
  void itLetsOneCallTry() {
    fail();
    fail();
    clock.set(99);
    assertFalse(breaker.tryStart());
    clock.set(100);
    assertTrue(breaker.tryStart());
    assertFalse(breaker.tryStart());
    breaker.succeed();
    assertTrue(breaker.tryStart());
    assertTrue(breaker.tryStart());
  }

  @Test
  void itStaysOpenIfTheTrialFails() {
    fail();
    fail();
    clock.set(100);
    assertTrue(breaker.tryStart());
    breaker.fail();
    assertFalse(breaker.tryStart());
    clock.set(200);
    assertTrue(breaker.tryStart());
  }

  @Test
  void aCancelledTrialLeavesTheNextOneToTry() {
    fail();
    fail();
    clock.set(100);
    assertTrue(breaker.tryStart());
    breaker.skip();
    assertTrue(breaker.tryStart());
  }

  @Test
  void theBudgetAllowsOneRetryForTenCalls() {
    RetryBudget budget = new RetryBudget();
    int retries = 0;
    while (budget.tryTake()) {
      retries++;
    }
    assertTrue(retries == 10, "it starts with ten retries");
    for (int call = 0; call < 9; call++) {
      budget.add();
    }
    assertFalse(budget.tryTake());
    budget.add();
    assertTrue(budget.tryTake());
    assertFalse(budget.tryTake());
  }
}
