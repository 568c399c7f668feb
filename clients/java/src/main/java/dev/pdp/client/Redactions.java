package dev.pdp.client;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Replaces spans as the server does. {@link Enforcement#enforce} takes the redacted text of the
 * decision; use this class for what the decision does not hold, for instance a copy of the text.
 *
 * <p>Offsets count code points, not the UTF-16 units of Java.
 */
public final class Redactions {
  private final Map<Place, List<Splice>> splices = new HashMap<>();

  private record Place(Optional<String> path, boolean inKey) {}

  private record Splice(int start, int end, String replacement) {}

  private Redactions(Collection<Redaction> redactions) {
    for (Redaction redaction : redactions) {
      for (Span span : redaction.spans()) {
        if (span.start() < 0) {
          throw new IllegalArgumentException("a span starts at " + span.start());
        }
        if (span.start() < span.end()) {
          splices
              .computeIfAbsent(new Place(span.path(), span.inKey()), place -> new ArrayList<>())
              .add(new Splice(span.start(), span.end(), redaction.replacement()));
        }
      }
    }
  }

  /**
   * Returns a text with its spans replaced. Spans with a path are not in the text.
   *
   * @param text the text
   * @param redactions what to replace
   * @return the redacted text
   * @throws IllegalArgumentException if a span has a negative offset
   */
  public static String text(String text, Collection<Redaction> redactions) {
    return new Redactions(redactions).string(text, new Place(Optional.empty(), false));
  }

  /**
   * Returns arguments with their spans replaced. Spans without a path are not in the arguments.
   *
   * @param arguments the arguments: maps, lists, strings, numbers, booleans and null
   * @param redactions what to replace
   * @return the redacted arguments
   * @throws IllegalArgumentException if a span has a negative offset
   */
  public static Map<String, Object> arguments(
      Map<String, ?> arguments, Collection<Redaction> redactions) {
    return new Redactions(redactions).object(arguments, "");
  }

  private Object value(Object value, String path) {
    if (value instanceof String text) {
      return string(text, new Place(Optional.of(path), false));
    }
    if (value instanceof Map<?, ?> map) {
      return object(map, path);
    }
    if (value instanceof Iterable<?> items) {
      List<Object> list = new ArrayList<>();
      for (Object each : items) {
        list.add(value(each, path + "/" + list.size()));
      }
      return list;
    }
    List<Splice> own = splices.get(new Place(Optional.of(path), false));
    return own == null || !(value instanceof Number) ? value : own.get(0).replacement();
  }

  private Map<String, Object> object(Map<?, ?> map, String path) {
    Map<String, Object> result = new LinkedHashMap<>();
    for (Map.Entry<?, ?> member : map.entrySet()) {
      String key = (String) member.getKey();
      String below = path + "/" + key.replace("~", "~0").replace("/", "~1");
      String newKey = string(key, new Place(Optional.of(below), true));
      if (!newKey.equals(key)) {
        newKey = free(newKey, map, result);
      }
      result.put(newKey, value(member.getValue(), below));
    }
    return result;
  }

  /** Returns a key that neither object has: the key, or with {@code _2}, {@code _3} and so on. */
  private static String free(String key, Map<?, ?> first, Map<?, ?> second) {
    String candidate = key;
    for (int number = 2; first.containsKey(candidate) || second.containsKey(candidate); number++) {
      candidate = key + "_" + number;
    }
    return candidate;
  }

  private String string(String text, Place place) {
    List<Splice> own = splices.get(place);
    if (own == null) {
      return text;
    }
    List<Splice> sorted = new ArrayList<>(own);
    sorted.sort(Comparator.comparingInt(Splice::start));
    StringBuilder result = new StringBuilder();
    int index = 0; // in UTF-16 units
    int point = 0; // in code points
    int until = 0; // the end of the last span
    for (Splice each : sorted) {
      int next = move(text, index, Math.max(each.start(), until) - point);
      result.append(text, index, next);
      point += text.codePointCount(index, next);
      index = next;
      boolean overlaps = each.start() < until;
      if (!overlaps && index < text.length()) {
        result.append(each.replacement());
      }
      until = Math.max(until, each.end());
      next = move(text, index, until - point);
      point += text.codePointCount(index, next);
      index = next;
    }
    return result.append(text, index, text.length()).toString();
  }

  /** Returns the index after some code points; the length if there are fewer. */
  private static int move(String text, int index, int points) {
    int end = index;
    for (int count = 0; count < points && end < text.length(); count++) {
      end += Character.charCount(text.codePointAt(end));
    }
    return end;
  }
}
