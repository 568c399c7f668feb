package dev.pdp.client;

import java.util.Optional;

/**
 * A range of code points in the text, or in a value or key of the arguments.
 *
 * @param path the JSON Pointer into the arguments or the payload; empty for the text
 * @param start the offset of the first code point
 * @param end the offset after the last code point
 * @param entityType the type of what was found there
 * @param inKey whether the span is in the key of the member at {@code path}
 */
public record Span(Optional<String> path, int start, int end, String entityType, boolean inKey) {
  /**
   * Returns a span in the text.
   *
   * @param start the offset of the first code point
   * @param end the offset after the last code point
   * @return the span
   */
  public static Span ofText(int start, int end) {
    return new Span(Optional.empty(), start, end, "", false);
  }

  static Span of(dev.pdp.v1.Span span) {
    Optional<String> path = span.hasPath() ? Optional.of(span.getPath()) : Optional.empty();
    return new Span(
        path, span.getStart(), span.getEnd(), span.getEntityType(), span.getInKey());
  }
}
