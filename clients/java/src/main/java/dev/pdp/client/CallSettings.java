package dev.pdp.client;

import java.time.Duration;
import java.util.Optional;

/**
 * How one call differs from the settings of the client.
 *
 * @param timeout how long the call may take, with its retries; empty for that of the client
 * @param throwIfUnavailable whether to throw a {@link PdpException} if there is no decision. By
 *     default, the decision is then a BLOCK with the reason {@link Decision#PDP_UNAVAILABLE}
 * @param tenant the tenant of the call; empty for that of the client
 * @param traceparent the W3C trace context of the call; empty for that of OpenTelemetry
 */
public record CallSettings(
    Optional<Duration> timeout,
    boolean throwIfUnavailable,
    Optional<String> tenant,
    Optional<String> traceparent) {
  private static final CallSettings DEFAULTS =
      new CallSettings(Optional.empty(), false, Optional.empty(), Optional.empty());

  /**
   * Returns the settings of the client.
   *
   * @return the settings
   */
  public static CallSettings defaults() {
    return DEFAULTS;
  }

  /**
   * Returns these settings with a timeout.
   *
   * @param timeout how long the call may take, with its retries
   * @return the settings
   */
  public CallSettings withTimeout(Duration timeout) {
    return new CallSettings(Optional.of(timeout), throwIfUnavailable, tenant, traceparent);
  }

  /**
   * Returns these settings, with an exception in place of a decision if there is none.
   *
   * @return the settings
   */
  public CallSettings throwingIfUnavailable() {
    return new CallSettings(timeout, true, tenant, traceparent);
  }

  /**
   * Returns these settings with a tenant.
   *
   * @param tenant the tenant of the call
   * @return the settings
   */
  public CallSettings withTenant(String tenant) {
    return new CallSettings(timeout, throwIfUnavailable, Optional.of(tenant), traceparent);
  }

  /**
   * Returns these settings with a W3C trace context.
   *
   * @param traceparent the header {@code traceparent}
   * @return the settings
   */
  public CallSettings withTraceparent(String traceparent) {
    return new CallSettings(timeout, throwIfUnavailable, tenant, Optional.of(traceparent));
  }
}
