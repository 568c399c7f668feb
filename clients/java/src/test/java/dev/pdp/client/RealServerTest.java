package dev.pdp.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The client gets decisions of a real server. */
class RealServerTest {
  private static final Duration PATIENT = Duration.ofSeconds(60);
  private static final String CARD = "My card is 4111 1111 1111 1111.";
  private static final String ATTACK = "1 UNION SELECT password FROM users";

  private static RealServer server;
  private static PdpClient client;

  @BeforeAll
  static void start() throws Exception {
    server = new RealServer(Map.of());
    client = PdpClient.builder(server.address()).timeout(PATIENT).build();
  }

  @AfterAll
  static void stop() throws Exception {
    client.close();
    server.close();
  }

  @Test
  void aHarmlessTextPasses() {
    DecisionRequest request = DecisionRequest.ofText("What is the weather?");
    Decision decision = client.decide(request);
    assertTrue(decision.allowed());
    assertFalse(decision.decisionId().isEmpty());
    assertEquals("What is the weather?", Enforcement.enforce(request, decision).text());
  }

  @Test
  void aCardIsRedacted() {
    DecisionRequest request = DecisionRequest.ofText(CARD);
    Decision decision = client.decide(request);
    assertTrue(decision.redacted());
    assertEquals(Outcome.REDACT, decision.outcome());
    assertEquals("My card is [REDACTED].", Enforcement.enforce(request, decision).text());
    assertEquals(
        "My card is [REDACTED].",
        Redactions.text(CARD, decision.obligations().redactions()));
  }

  @Test
  void anAttackIsStopped() {
    DecisionRequest request = DecisionRequest.ofText(ATTACK);
    Decision decision = client.decide(request);
    assertFalse(decision.allowed());
    assertFalse(decision.unavailable());
    assertFalse(decision.matches().isEmpty());
    DeniedException denied =
        assertThrows(DeniedException.class, () -> Enforcement.enforce(request, decision));
    assertEquals(decision.message(), denied.reason());
  }

  @Test
  void argumentsKeepTheirNumbers() {
    DecisionRequest request =
        DecisionRequest.builder()
            .tool("post_message")
            .arguments(Map.of("channel", 1234567890123456789L, "note", CARD))
            .build();
    Permit permit = Enforcement.enforce(request, client.decide(request));
    Map<String, Object> arguments = permit.arguments().orElseThrow();
    assertEquals(1234567890123456789L, arguments.get("channel"));
    assertEquals("My card is [REDACTED].", arguments.get("note"));
  }

  @Test
  void aPayloadIsRedacted() {
    String body =
        "{\"model\": \"gpt-4o\", \"messages\": [{\"role\": \"user\", \"content\": \""
            + CARD
            + "\"}]}";
    DecisionRequest request =
        DecisionRequest.builder().payload("openai.chat_completions", body).build();
    Permit permit = Enforcement.enforce(request, client.decide(request));
    assertEquals(body.replace("4111 1111 1111 1111", "[REDACTED]"), permit.payload());
    assertTrue(client.decidePayload("openai.chat_completions", body).redacted());
  }

  @Test
  void aBatchIsDecidedInOrder() {
    List<Decision> decisions =
        client.decideBatch(
            List.of(
                DecisionRequest.ofText("hello"),
                DecisionRequest.ofText(ATTACK),
                DecisionRequest.ofText(CARD)));
    assertEquals(
        List.of(true, false, true), decisions.stream().map(Decision::allowed).toList());
  }

  @Test
  void callsRunAtOnce() {
    List<CompletableFuture<Decision>> decisions =
        java.util.stream.Stream.generate(() -> client.decideAsync(DecisionRequest.ofText("hi")))
            .limit(50)
            .toList();
    decisions.forEach(each -> assertTrue(each.join().allowed()));
  }

  @Test
  void aStreamReleasesTheRedactedText() {
    StringBuilder text = new StringBuilder();
    try (TextStream stream = client.openTextStream(DecisionRequest.builder().output().build())) {
      for (String chunk : List.of("Pay by 4111 ", "1111 1111 ", "1111 please \uD83D", "\uDE00.")) {
        text.append(stream.feed(chunk));
      }
      text.append(stream.finish());
      assertThrows(IllegalStateException.class, () -> stream.feed("more"));
    }
    assertEquals("Pay by [REDACTED] please \uD83D\uDE00.", text.toString());
  }

  @Test
  void aStreamOfAnAttackIsStopped() {
    try (TextStream stream = client.openTextStream(DecisionRequest.builder().build())) {
      assertThrows(
          DeniedException.class,
          () -> {
            stream.feed("1 UNION SELECT ");
            stream.feed("password FROM users");
            stream.finish();
          });
      assertThrows(DeniedException.class, () -> stream.feed("more"));
      assertFalse(stream.decision().orElseThrow().allowed());
    }
  }

  @Test
  void aStreamThatWasOpenedAndClosedHasNoEffect() {
    client.openTextStream(DecisionRequest.builder().build()).close();
    assertTrue(client.decide(DecisionRequest.ofText("hello")).allowed());
  }

  @Test
  void aSimulationUsesOtherPolicies() {
    Map<String, ?> policies =
        Map.of(
            "static_policies",
            List.of(
                Map.of(
                    "name", "no weather", "pattern", "(?i)weather", "action", "block",
                    "severity", "high", "category", "custom")));
    DecisionRequest request = DecisionRequest.ofText("What is the weather?");
    assertTrue(client.simulate(request).decision().allowed());
    Simulation simulation = client.simulate(request, policies);
    assertFalse(simulation.decision().allowed());
    assertFalse(simulation.layers().isEmpty());
  }

  @Test
  void anInvalidFieldIsAnError() {
    DecisionRequest request = DecisionRequest.builder().action("DROP TABLE").build();
    PdpException error = assertThrows(PdpException.class, () -> client.decide(request));
    assertFalse(error.unavailable());
    assertEquals("INVALID_ARGUMENT", error.reason());
    assertEquals("action", error.violations().get(0).field());
  }

  @Test
  void aTenantOfTheCallIsUsed() {
    CallSettings invalid = CallSettings.defaults().withTenant("not a tenant");
    PdpException error =
        assertThrows(
            PdpException.class, () -> client.decide(DecisionRequest.ofText("hi"), invalid));
    assertFalse(error.unavailable());
    CallSettings valid = CallSettings.defaults().withTenant("acme");
    assertTrue(client.decide(DecisionRequest.ofText("hi"), valid).allowed());
  }

  @Test
  void aUnixSocketIsAnAddress(@TempDir Path folder) throws Exception {
    String address = "unix:" + folder.resolve("pdp.sock");
    try (RealServer local = new RealServer(Map.of("PDP_GRPC_LISTEN", address));
        PdpClient near = PdpClient.builder(address).timeout(PATIENT).build()) {
      assertEquals(address, local.address());
      assertTrue(near.decide(DecisionRequest.ofText("hi")).allowed());
    }
  }

  @Test
  void theRequestIdIsRepeated() {
    DecisionRequest request = DecisionRequest.builder().text("hi").requestId("mine-1").build();
    assertEquals("mine-1", client.decide(request).requestId());
    assertFalse(client.decide(DecisionRequest.ofText("hi")).requestId().isEmpty());
  }
}
