package dev.pdp.client;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.util.JsonFormat;
import dev.pdp.v1.DecideRequest;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;

/**
 * Decides on requests: {@code java -jar target/cases.jar ADDRESS}.
 *
 * <p>Each line of the standard input is a DecideRequest as ProtoJSON. Each line of the output is the
 * DecideResponse as ProtoJSON, or {@code {"error": {"code", "message", "details"}}}.
 */
public final class Cases {
  private static final Duration TIMEOUT = Duration.ofSeconds(60);

  private Cases() {}

  public static void main(String[] arguments) throws IOException {
    BufferedReader input =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    PrintStream output = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    CallSettings settings = CallSettings.defaults().throwingIfUnavailable();
    try (PdpClient client = PdpClient.builder(arguments[0]).timeout(TIMEOUT).build()) {
      for (String line = input.readLine(); line != null; line = input.readLine()) {
        output.println(answer(client, line, settings));
      }
    }
  }

  private static String answer(PdpClient client, String line, CallSettings settings)
      throws InvalidProtocolBufferException {
    DecideRequest.Builder request = DecideRequest.newBuilder();
    JsonFormat.parser().merge(line, request);
    try {
      Decision decision = client.decide(DecisionRequest.of(request.build()), settings);
      return JsonFormat.printer().omittingInsignificantWhitespace().print(decision.raw());
    } catch (PdpException error) {
      JsonArray details = new JsonArray();
      for (FieldViolation violation : error.violations()) {
        JsonObject detail = new JsonObject();
        detail.addProperty("field", violation.field());
        detail.addProperty("reason", violation.reason());
        details.add(detail);
      }
      JsonObject body = new JsonObject();
      body.addProperty("code", error.reason());
      body.addProperty("message", error.getMessage());
      body.add("details", details);
      JsonObject answer = new JsonObject();
      answer.add("error", body);
      return answer.toString();
    }
  }
}
