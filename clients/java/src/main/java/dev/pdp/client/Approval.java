package dev.pdp.client;

import java.time.Instant;
import java.util.Optional;

/**
 * The approval of a second person that a request waits for.
 *
 * @param id the ID of the approval, for the approvers
 * @param message what they are asked
 * @param token lets the request pass once the approval is given. Keep it out of logs
 * @param expiresAt until when it can be given and used
 * @param state {@code pending} or {@code approved}
 */
public record Approval(
    String id, String message, String token, Optional<Instant> expiresAt, String state) {
  /**
   * Returns whether the approval is given already, so that the request can be sent again now.
   *
   * @return whether it is given
   */
  public boolean isGiven() {
    return state.equals("approved");
  }

  /** Returns the approval without the token. */
  @Override
  public String toString() {
    return "Approval[id=" + id + ", state=" + state + ", expiresAt=" + expiresAt + "]";
  }
}
