package dev.pdp.client;

import java.util.Optional;

/** The result of a decision, from the weakest to the strongest. */
public enum Outcome {
  /** The request passes. */
  ALLOW(true),
  /** The request passes, with warnings to show. */
  WARN(true),
  /** The request passes with a notice. */
  ALLOW_WITH_OVERRIDE(true),
  /** The request passes to the model that the obligation names. */
  ROUTE_TO(true),
  /** The request passes after its redactions. */
  REDACT(true),
  /** The request waits until the user has confirmed it. */
  PROMPT(false),
  /** The request waits until a second person has approved it. */
  ESCALATE(false),
  /** The request is stopped, but is not a violation. */
  CANCEL(false),
  /** The request is stopped. */
  BLOCK(false);

  private final boolean allows;

  Outcome(boolean allows) {
    this.allows = allows;
  }

  /**
   * Returns whether the request may go out once the obligations are fulfilled.
   *
   * @return whether it may
   */
  public boolean allows() {
    return allows;
  }

  /** Returns the outcome of a message; empty if this client does not know it. */
  static Optional<Outcome> of(dev.pdp.v1.Outcome outcome) {
    return switch (outcome) {
      case OUTCOME_ALLOW -> Optional.of(ALLOW);
      case OUTCOME_WARN -> Optional.of(WARN);
      case OUTCOME_ALLOW_WITH_OVERRIDE -> Optional.of(ALLOW_WITH_OVERRIDE);
      case OUTCOME_ROUTE_TO -> Optional.of(ROUTE_TO);
      case OUTCOME_REDACT -> Optional.of(REDACT);
      case OUTCOME_PROMPT -> Optional.of(PROMPT);
      case OUTCOME_ESCALATE -> Optional.of(ESCALATE);
      case OUTCOME_CANCEL -> Optional.of(CANCEL);
      case OUTCOME_BLOCK -> Optional.of(BLOCK);
      default -> Optional.empty();
    };
  }
}
