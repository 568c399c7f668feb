package dev.pdp.client;

import java.time.Instant;
import java.util.Optional;

/**
 * A message that the user must confirm before the request goes out.
 *
 * @param message the message to show
 * @param confirmation lets the same request pass once the user has confirmed; empty if the server
 *     gives none. Keep it out of logs
 * @param expiresAt when the confirmation expires
 */
public record Prompt(String message, String confirmation, Optional<Instant> expiresAt) {
  /** Returns the prompt without the confirmation. */
  @Override
  public String toString() {
    return "Prompt[message=" + message + ", expiresAt=" + expiresAt + "]";
  }
}
