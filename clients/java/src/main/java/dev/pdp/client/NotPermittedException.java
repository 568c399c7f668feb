package dev.pdp.client;

/** The request must not go out as it is. */
public abstract class NotPermittedException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final transient Decision decision;

  NotPermittedException(Decision decision, String reason) {
    super(reason);
    this.decision = decision;
  }

  /**
   * Returns the decision.
   *
   * @return the decision
   */
  public Decision decision() {
    return decision;
  }

  /**
   * Returns why, for the user: the message of the decision, or what is wrong with it.
   *
   * @return the reason
   */
  public String reason() {
    return getMessage();
  }
}
