package dev.pdp.client;

/** The request is stopped, or the decision has something that is not understood. */
public final class DeniedException extends NotPermittedException {
  private static final long serialVersionUID = 1L;

  DeniedException(Decision decision, String reason) {
    super(decision, reason);
  }
}
