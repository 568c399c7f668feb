package dev.pdp.client;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * What may go out.
 *
 * @param text the text to send in place of the request's text
 * @param arguments the arguments to send in place of the request's; empty if it has none
 * @param argumentsJson the same as JSON text, with numbers exactly as they were; empty for none
 * @param payload the document to send in place of the request's payload; empty if it has none
 * @param route the model to send the request to; empty for the model that it names
 * @param warnings the messages to show to the user. The request goes out all the same
 * @param prompts what the user has confirmed
 * @param maskedFields the fields that must be masked in the resource, too; see {@link #mask}
 */
public record Permit(
    String text,
    Optional<Map<String, Object>> arguments,
    String argumentsJson,
    String payload,
    Optional<Route> route,
    List<String> warnings,
    List<String> prompts,
    List<String> maskedFields) {
  /** What replaces the value of a masked field. */
  public static final String MASK = "[MASKED]";

  /**
   * Returns a JSON value without the values of the masked fields, at any depth.
   *
   * <p>Use it for what the resource returns: the result of a tool or the rows of a query. {@code
   * ssn} is masked, too, if the field is {@code user.ssn} or {@code rows[0].ssn}.
   *
   * @param value maps, lists and other values
   * @return the value, masked
   */
  public Object mask(Object value) {
    return mask(value, maskedFields);
  }

  static Object mask(Object value, List<String> fields) {
    if (fields.isEmpty()) {
      return value;
    }
    Set<String> names = new HashSet<>(fields);
    fields.forEach(each -> names.add(lastPart(each)));
    return masked(value, names);
  }

  private static Object masked(Object value, Set<String> names) {
    if (value instanceof Map<?, ?> map) {
      Map<Object, Object> result = new LinkedHashMap<>();
      map.forEach(
          (name, item) -> result.put(name, names.contains(name) ? MASK : masked(item, names)));
      return Collections.unmodifiableMap(result);
    }
    if (value instanceof Iterable<?> items) {
      List<Object> result = new ArrayList<>();
      items.forEach(each -> result.add(masked(each, names)));
      return Collections.unmodifiableList(result);
    }
    return value;
  }

  /** Returns {@code ssn} for {@code user.ssn}, {@code /user/ssn} and {@code rows[0].ssn}. */
  private static String lastPart(String name) {
    String last = name;
    for (String part : name.split("[./\\[\\]]")) {
      last = part.isEmpty() ? last : part;
    }
    return last;
  }
}
