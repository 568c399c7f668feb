package dev.pdp.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** Redactions replace what the server replaces. */
class RedactionsTest {
  @TestFactory
  Stream<DynamicTest> texts() throws Exception {
    return vectors("texts")
        .map(
            each ->
                DynamicTest.dynamicTest(
                    (String) each.get("name"),
                    () ->
                        assertEquals(
                            each.get("expected"),
                            Redactions.text((String) each.get("text"), redactions(each)))));
  }

  @TestFactory
  Stream<DynamicTest> arguments() throws Exception {
    return vectors("arguments")
        .map(
            each ->
                DynamicTest.dynamicTest(
                    (String) each.get("name"),
                    () ->
                        assertEquals(
                            Json.write(each.get("expected")),
                            Json.write(
                                Redactions.arguments(
                                    object(each.get("arguments")), redactions(each))))));
  }

  @Test
  void spansThatOverlapAreReplacedOnce() {
    Redaction first = new Redaction("[A]", List.of(Span.ofText(0, 3)));
    Redaction second = new Redaction("[B]", List.of(Span.ofText(2, 5)));
    assertEquals("[A]fg", Redactions.text("abcdefg", List.of(second, first)));
  }

  @Test
  void aNegativeOffsetIsRefused() {
    List<Redaction> redactions = List.of(new Redaction("x", List.of(Span.ofText(-1, 2))));
    assertThrows(IllegalArgumentException.class, () -> Redactions.text("abc", redactions));
  }

  private static Stream<Map<String, Object>> vectors(String kind) throws Exception {
    String text =
        Files.readString(RealServer.REPOSITORY.resolve("tests/vectors/redactions.json"));
    List<Map<String, Object>> vectors = new ArrayList<>();
    ((List<?>) Json.parseObject(text).get(kind)).forEach(each -> vectors.add(object(each)));
    return vectors.stream();
  }

  private static List<Redaction> redactions(Map<String, Object> vector) {
    List<Span> spans = new ArrayList<>();
    for (Object each : (List<?>) vector.get("spans")) {
      Map<String, Object> span = object(each);
      spans.add(
          new Span(
              Optional.ofNullable((String) span.get("path")),
              ((Number) span.get("start")).intValue(),
              ((Number) span.get("end")).intValue(),
              "",
              Boolean.TRUE.equals(span.get("in_key"))));
    }
    return List.of(new Redaction((String) vector.get("replacement"), spans));
  }

  @SuppressWarnings("unchecked")
  private static Map<String, Object> object(Object value) {
    return (Map<String, Object>) value;
  }
}
