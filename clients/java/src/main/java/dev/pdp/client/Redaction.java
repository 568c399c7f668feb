package dev.pdp.client;

import java.util.List;

/**
 * Spans that must be replaced before the request goes out.
 *
 * @param replacement the text that replaces each span
 * @param spans the spans
 */
public record Redaction(String replacement, List<Span> spans) {
  /**
   * Creates a redaction.
   *
   * @param replacement the text that replaces each span
   * @param spans the spans
   */
  public Redaction {
    spans = List.copyOf(spans);
  }
}
