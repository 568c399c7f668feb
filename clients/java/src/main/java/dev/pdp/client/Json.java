package dev.pdp.client;

import com.google.gson.Strictness;
import com.google.gson.stream.JsonReader;
import com.google.gson.stream.JsonToken;
import com.google.gson.stream.JsonWriter;
import com.google.protobuf.ListValue;
import com.google.protobuf.NullValue;
import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import java.io.IOException;
import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Reads and writes JSON with exact numbers. Values are maps, lists, strings, numbers, booleans and
 * null. Numbers of more than 1,000 digits and texts nested too deep are refused.
 */
final class Json {
  private static final double MAX_EXACT = 1L << 53;

  private Json() {}

  /**
   * Returns the object that a text holds. It cannot be changed.
   *
   * @throws IllegalArgumentException if the text is no JSON object
   */
  static Map<String, Object> parseObject(String text) {
    try (JsonReader reader = new JsonReader(new StringReader(text))) {
      reader.setStrictness(Strictness.STRICT);
      if (reader.peek() != JsonToken.BEGIN_OBJECT) {
        throw new IllegalArgumentException("the text is not a JSON object");
      }
      Map<String, Object> value = object(reader);
      if (reader.peek() != JsonToken.END_DOCUMENT) {
        throw new IllegalArgumentException("the text has more than a JSON object");
      }
      return value;
    } catch (IOException | IllegalStateException | NumberFormatException error) {
      throw new IllegalArgumentException("the text is not a JSON object", error);
    }
  }

  private static Object value(JsonReader reader) throws IOException {
    switch (reader.peek()) {
      case BEGIN_OBJECT:
        return object(reader);
      case BEGIN_ARRAY:
        List<Object> list = new ArrayList<>();
        reader.beginArray();
        while (reader.hasNext()) {
          list.add(value(reader));
        }
        reader.endArray();
        return Collections.unmodifiableList(list);
      case STRING:
        return reader.nextString();
      case BOOLEAN:
        return reader.nextBoolean();
      case NULL:
        reader.nextNull();
        return null;
      case NUMBER:
        return number(reader.nextString());
      default:
        throw new IllegalArgumentException("the text is not JSON");
    }
  }

  private static Map<String, Object> object(JsonReader reader) throws IOException {
    Map<String, Object> members = new LinkedHashMap<>();
    reader.beginObject();
    while (reader.hasNext()) {
      String name = reader.nextName();
      if (members.containsKey(name)) {
        throw new IllegalArgumentException("the member " + name + " is there twice");
      }
      members.put(name, value(reader));
    }
    reader.endObject();
    return Collections.unmodifiableMap(members);
  }

  private static Number number(String text) {
    if (text.indexOf('.') < 0 && text.indexOf('e') < 0 && text.indexOf('E') < 0) {
      BigInteger integer = new BigInteger(text);
      if (integer.bitLength() < Long.SIZE) {
        return integer.longValue();
      }
      return integer;
    }
    return new BigDecimal(text);
  }

  /**
   * Returns a value as JSON text.
   *
   * @throws IllegalArgumentException if something in the value has no form in JSON
   */
  static String write(Object value) {
    StringWriter text = new StringWriter();
    try (JsonWriter writer = new JsonWriter(text)) {
      writer.setSerializeNulls(true);
      writer.setHtmlSafe(false);
      write(value, writer);
    } catch (IOException impossible) {
      throw new IllegalStateException(impossible);
    }
    return text.toString();
  }

  private static void write(Object value, JsonWriter writer) throws IOException {
    if (value == null) {
      writer.nullValue();
    } else if (value instanceof Map<?, ?> map) {
      writer.beginObject();
      for (Map.Entry<?, ?> member : map.entrySet()) {
        if (!(member.getKey() instanceof String name)) {
          throw new IllegalArgumentException("a key is not a string: " + member.getKey());
        }
        writer.name(name);
        write(member.getValue(), writer);
      }
      writer.endObject();
    } else if (value instanceof Iterable<?> items) {
      writer.beginArray();
      for (Object each : items) {
        write(each, writer);
      }
      writer.endArray();
    } else if (value instanceof String string) {
      writer.value(string);
    } else if (value instanceof Boolean bool) {
      writer.value(bool);
    } else if (value instanceof Number number) {
      writer.value(number);
    } else {
      throw new IllegalArgumentException("no JSON value: " + value.getClass().getName());
    }
  }

  /**
   * Returns a value as a Struct.
   *
   * @throws IllegalArgumentException if something in the value has no form in JSON
   */
  static Struct struct(Map<String, ?> members) {
    Struct.Builder struct = Struct.newBuilder();
    members.forEach((name, each) -> struct.putFields(name, message(each)));
    return struct.build();
  }

  private static Value message(Object value) {
    Value.Builder message = Value.newBuilder();
    if (value == null) {
      return message.setNullValue(NullValue.NULL_VALUE).build();
    } else if (value instanceof Map<?, ?> map) {
      Struct.Builder struct = message.getStructValueBuilder();
      map.forEach((name, each) -> struct.putFields(String.valueOf(name), message(each)));
    } else if (value instanceof Iterable<?> items) {
      ListValue.Builder list = message.getListValueBuilder();
      items.forEach(each -> list.addValues(message(each)));
    } else if (value instanceof String text) {
      message.setStringValue(text);
    } else if (value instanceof Boolean bool) {
      message.setBoolValue(bool);
    } else if (value instanceof Number number) {
      message.setNumberValue(number.doubleValue());
    } else {
      throw new IllegalArgumentException("no JSON value: " + value.getClass().getName());
    }
    return message.build();
  }

  /** Returns the members of a Struct. */
  static Map<String, Object> of(Struct struct) {
    Map<String, Object> members = new LinkedHashMap<>();
    struct.getFieldsMap().forEach((name, value) -> members.put(name, of(value)));
    return Collections.unmodifiableMap(members);
  }

  private static Object of(Value value) {
    return switch (value.getKindCase()) {
      case STRUCT_VALUE -> of(value.getStructValue());
      case LIST_VALUE -> {
        List<Object> list = new ArrayList<>();
        value.getListValue().getValuesList().forEach(each -> list.add(of(each)));
        yield Collections.unmodifiableList(list);
      }
      case NUMBER_VALUE -> integer(value.getNumberValue());
      case STRING_VALUE -> value.getStringValue();
      case BOOL_VALUE -> value.getBoolValue();
      default -> null;
    };
  }

  /** Returns a number as an integer if it is one. */
  static Number integer(double number) {
    if (number == Math.rint(number) && Math.abs(number) <= MAX_EXACT) {
      return (long) number;
    }
    return number;
  }
}
