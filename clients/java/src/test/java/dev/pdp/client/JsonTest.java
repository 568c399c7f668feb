package dev.pdp.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** JSON is read strictly, and numbers stay exactly as they are. */
class JsonTest {
  @ParameterizedTest
  @ValueSource(
      strings = {
        "{}",
        "{\"a\":[1,-2,3.50,1E+3,12345678901234567890123]}",
        "{\"a\":{\"b\":null,\"c\":true},\"d\":\"\\u2028\\\"\"}",
      })
  void aTextIsWrittenAsItWasRead(String text) {
    assertEquals(text, Json.write(Json.parseObject(text)));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "", "[]", "1", "{", "{a:1}", "{\"a\":1,}", "{\"a\":1}{}", "{'a':1}", "{\"a\":NaN}",
        "{\"a\":1,\"a\":2}", "{\"a\":01}",
      })
  void otherTextsAreRefused(String text) {
    assertThrows(IllegalArgumentException.class, () -> Json.parseObject(text));
  }

  @Test
  void veryLongNumbersAreRefused() {
    String text = "{\"a\":" + "9".repeat(100_000) + "}";
    assertThrows(IllegalArgumentException.class, () -> Json.parseObject(text));
  }

  @Test
  void deepTextsAreRefused() {
    String text = "{\"a\":" + "[".repeat(100_000);
    assertThrows(IllegalArgumentException.class, () -> Json.parseObject(text));
  }

  @Test
  void valuesWithoutAFormInJsonAreRefused() {
    for (Object each : List.of(new Object(), Double.NaN, Map.of(1, 2))) {
      assertThrows(IllegalArgumentException.class, () -> Json.write(Map.of("a", each)));
    }
    Map<String, Object> nothing = new HashMap<>();
    nothing.put("a", null);
    assertEquals("{\"a\":null}", Json.write(nothing));
  }
}
