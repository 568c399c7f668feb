package dev.pdp.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Struct;
import com.google.protobuf.Timestamp;
import com.google.protobuf.UnknownFieldSet;
import com.google.protobuf.Value;
import dev.pdp.v1.DecideRequest;
import dev.pdp.v1.DecideResponse;
import dev.pdp.v1.Obligation;
import dev.pdp.v1.ObligationType;
import dev.pdp.v1.Outcome;
import dev.pdp.v1.PolicyWarning;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** What may go out is what the decision says, and nothing else. */
class EnforcementTest {
  private static final DecisionRequest HELLO = DecisionRequest.ofText("hello");

  private static DecideResponse.Builder response(Outcome outcome, boolean allowed) {
    return DecideResponse.newBuilder().setOutcome(outcome).setAllowed(allowed);
  }

  private static DecideResponse.Builder allow() {
    return response(Outcome.OUTCOME_ALLOW, true);
  }

  private static DecideResponse.Builder redact() {
    return response(Outcome.OUTCOME_REDACT, true);
  }

  private static Obligation.Builder obligation(ObligationType type) {
    return Obligation.newBuilder().setType(type);
  }

  private static Obligation.Builder redaction(dev.pdp.v1.Span.Builder span) {
    return obligation(ObligationType.OBLIGATION_TYPE_REDACT)
        .setReplacement("[REDACTED]")
        .addSpans(span);
  }

  private static dev.pdp.v1.Span.Builder span() {
    return dev.pdp.v1.Span.newBuilder().setStart(0).setEnd(2);
  }

  private static Obligation.Builder approval() {
    return obligation(ObligationType.OBLIGATION_TYPE_APPROVAL)
        .setApprovalId("a1")
        .setToken("secret-token")
        .setMessage("May it?")
        .setApprovalState("pending")
        .setExpiresAt(Timestamp.newBuilder().setSeconds(1));
  }

  private static Permit enforce(DecisionRequest request, DecideResponse.Builder response) {
    return Enforcement.enforce(request, Decision.of(response.build()));
  }

  private static String denial(DecisionRequest request, DecideResponse.Builder response) {
    return assertThrows(DeniedException.class, () -> enforce(request, response)).reason();
  }

  private static HeldException held(DecisionRequest request, DecideResponse.Builder response) {
    return assertThrows(HeldException.class, () -> enforce(request, response));
  }

  @Test
  void anAllowedTextGoesOut() {
    Permit permit = enforce(HELLO, allow().addWarnings(PolicyWarning.newBuilder().setMessage("w")));
    assertEquals("hello", permit.text());
    assertEquals(List.of("w"), permit.warnings());
    assertEquals(Optional.empty(), permit.arguments());
  }

  @Test
  void aStoppedRequestIsDenied() {
    assertEquals("no", denial(HELLO, response(Outcome.OUTCOME_BLOCK, false).setMessage("no")));
    assertEquals(
        "The request is not allowed.", denial(HELLO, response(Outcome.OUTCOME_CANCEL, false)));
  }

  @Test
  void aDecisionOnAnotherRequestIsDenied() {
    DecisionRequest mine = HELLO.toBuilder().requestId("mine").build();
    assertEquals(
        "the decision is for another request", denial(mine, allow().setRequestId("yours")));
    assertEquals("hello", enforce(mine, allow().setRequestId("mine")).text());
  }

  @Test
  void anAlteredDecisionIsDenied() {
    Decision blocked = Decision.of(response(Outcome.OUTCOME_BLOCK, false).build());
    Decision forged =
        new Decision(
            dev.pdp.client.Outcome.ALLOW,
            true,
            "",
            "",
            "",
            "",
            0,
            List.of(),
            List.of(),
            blocked.obligations(),
            Optional.empty(),
            "",
            0,
            blocked.raw());
    assertThrows(DeniedException.class, () -> Enforcement.enforce(HELLO, forged));
  }

  @Test
  void unknownObligationsAreDenied() {
    DecideResponse.Builder response =
        allow().addObligations(Obligation.newBuilder().setTypeValue(99));
    assertEquals("the obligation 99 is not known", denial(HELLO, response));
    assertEquals(List.of("99"), Decision.of(response.build()).obligations().unknown());
    UnknownFieldSet more =
        UnknownFieldSet.newBuilder()
            .addField(99, UnknownFieldSet.Field.newBuilder().addVarint(1).build())
            .build();
    assertEquals(
        "the obligation REDACT has a field that is not known",
        denial(
            HELLO,
            redact()
                .setRedactedText("x")
                .addObligations(redaction(span()).setUnknownFields(more))));
    assertEquals(
        "the obligation REDACT has a field that is not known",
        denial(
            HELLO,
            redact()
                .setRedactedText("x")
                .addObligations(redaction(span().setUnknownFields(more)))));
  }

  @Test
  void incompleteObligationsAreDenied() {
    for (ObligationType type : ObligationType.values()) {
      if (type.ordinal() > 0 && type != ObligationType.UNRECOGNIZED) {
        assertTrue(
            denial(HELLO, allow().addObligations(obligation(type))).contains(" has no "),
            type::name);
      }
    }
    for (Obligation.Builder each :
        List.of(
            approval().clearToken(), approval().clearExpiresAt(), approval().clearApprovalId())) {
      denial(HELLO, response(Outcome.OUTCOME_ESCALATE, false).addObligations(each));
    }
    denial(HELLO, redact().setRedactedText("x"));
    denial(HELLO, response(Outcome.OUTCOME_ROUTE_TO, true));
    denial(HELLO, response(Outcome.OUTCOME_ESCALATE, false));
  }

  @Test
  void theRedactedTextGoesOut() {
    Permit permit =
        enforce(HELLO, redact().setRedactedText("[..]llo").addObligations(redaction(span())));
    assertEquals("[..]llo", permit.text());
    assertTrue(
        denial(HELLO, redact().addObligations(redaction(span()))).contains("no redacted text"));
  }

  @Test
  void theRedactedArgumentsGoOut() {
    DecisionRequest request = DecisionRequest.builder().arguments(Map.of("a", "xy")).build();
    Obligation.Builder redaction = redaction(span().setPath("/a"));
    Permit permit =
        enforce(
            request,
            redact()
                .setRedactedArgumentsJson("{\"a\": \"[..]\", \"n\": 12345678901234567890}")
                .addObligations(redaction));
    assertEquals("[..]", permit.arguments().orElseThrow().get("a"));
    assertEquals("{\"a\": \"[..]\", \"n\": 12345678901234567890}", permit.argumentsJson());
    denial(request, redact().addObligations(redaction));
    denial(request, redact().setRedactedArgumentsJson("[]").addObligations(redaction));
    denial(request, redact().setRedactedArgumentsJson("{\"a\":").addObligations(redaction));
  }

  @Test
  void argumentsOfAStructKeepTheirIntegers() {
    DecisionRequest request =
        DecisionRequest.of(
            DecideRequest.newBuilder()
                .setArguments(
                    Struct.newBuilder()
                        .putFields("n", Value.newBuilder().setNumberValue(3).build())
                        .putFields("x", Value.newBuilder().setNumberValue(0.5).build()))
                .build());
    Permit permit = enforce(request, allow());
    assertEquals(Map.of("n", 3L, "x", 0.5), permit.arguments().orElseThrow());
    assertEquals("{\"n\":3,\"x\":0.5}", permit.argumentsJson());
  }

  @Test
  void aPayloadMustHaveBeenJudged() {
    DecisionRequest request = DecisionRequest.builder().payload("json", "{}").build();
    assertEquals("{}", enforce(request, allow().setPayloadFormat("json")).payload());
    denial(request, allow());
    denial(request, redact().setPayloadFormat("json").addObligations(redaction(span())));
    assertEquals(
        "[]",
        enforce(
                request,
                redact()
                    .setPayloadFormat("json")
                    .setRedactedPayload("[]")
                    .addObligations(redaction(span())))
            .payload());
  }

  @Test
  void aRouteNamesTheModel() {
    Obligation.Builder route =
        obligation(ObligationType.OBLIGATION_TYPE_ROUTE_TO).setModel("m").setProvider("p");
    DecideResponse.Builder response =
        response(Outcome.OUTCOME_ROUTE_TO, true).addObligations(route).addObligations(route);
    assertEquals(Optional.of(new Route("m", "p")), enforce(HELLO, response).route());
    denial(HELLO, response.addObligations(route.clone().setModel("other")));
  }

  @Test
  void fieldsAreMasked() {
    Obligation.Builder mask =
        obligation(ObligationType.OBLIGATION_TYPE_MASK_FIELDS).addFields("ssn");
    DecisionRequest request =
        DecisionRequest.builder().arguments(Map.of("who", Map.of("ssn", 1))).build();
    Permit permit = enforce(request, redact().addObligations(mask));
    assertEquals("{\"who\":{\"ssn\":\"[MASKED]\"}}", permit.argumentsJson());
    DecisionRequest target = DecisionRequest.builder().target("table", "users", "ssn").build();
    assertEquals(
        List.of(Map.of("ssn", Permit.MASK, "name", "Ann")),
        enforce(target, redact().addObligations(mask))
            .mask(List.of(Map.of("ssn", 1, "name", "Ann"))));
    denial(HELLO, redact().addObligations(mask));
    Obligation.Builder path =
        obligation(ObligationType.OBLIGATION_TYPE_MASK_FIELDS).addFields("rows[0].ssn");
    DecisionRequest rows = DecisionRequest.builder().target("t", "u", "rows[0].ssn").build();
    assertEquals(
        Map.of("ssn", Permit.MASK),
        enforce(rows, redact().addObligations(path)).mask(Map.of("ssn", 1)));
  }

  @Test
  void aPromptHoldsTheRequest() {
    DecideResponse.Builder response =
        response(Outcome.OUTCOME_PROMPT, false)
            .addObligations(
                obligation(ObligationType.OBLIGATION_TYPE_PROMPT)
                    .setMessage("Sure?")
                    .setConfirmation("c1"));
    HeldException held = held(HELLO, response);
    assertEquals(List.of("Sure?"), held.prompts());
    assertEquals("Sure?", held.reason());
    assertThrows(
        IllegalArgumentException.class, () -> Enforcement.resume(HELLO, held, false));
    DecisionRequest again = Enforcement.resume(HELLO, held, true);
    assertEquals(List.of("c1"), again.message().getTokensList());
    assertEquals(again, Enforcement.resume(again, held, true));
    Permit permit = Enforcement.enforce(HELLO, held.decision(), true);
    assertEquals(List.of("Sure?"), permit.prompts());
  }

  @Test
  void aPromptCanComeWithAnyOutcome() {
    Obligation.Builder prompt =
        obligation(ObligationType.OBLIGATION_TYPE_PROMPT).setMessage("Sure?");
    assertEquals(List.of("Sure?"), held(HELLO, allow().addObligations(prompt)).prompts());
    HeldException held = held(HELLO, response(Outcome.OUTCOME_PROMPT, false));
    assertEquals(List.of("Please confirm the request."), held.prompts());
    assertThrows(IllegalArgumentException.class, () -> Enforcement.resume(HELLO, held, true));
  }

  @Test
  void anApprovalHoldsTheRequest() {
    DecideResponse.Builder response =
        response(Outcome.OUTCOME_ESCALATE, false).addObligations(approval());
    HeldException held = held(HELLO, response);
    Approval approval = held.approval().orElseThrow();
    assertEquals("a1", approval.id());
    assertEquals(Optional.of(Instant.ofEpochSecond(1)), approval.expiresAt());
    assertFalse(approval.isGiven());
    assertEquals(
        List.of("secret-token"),
        Enforcement.resume(HELLO, held, false).message().getTokensList());
    assertThrows(
        HeldException.class,
        () -> Enforcement.enforce(HELLO, Decision.of(response.build()), true));
    denial(HELLO, response.clone().addObligations(approval()));
    denial(
        HELLO,
        response(Outcome.OUTCOME_ESCALATE, false)
            .addObligations(
                approval().setExpiresAt(Timestamp.newBuilder().setSeconds(Long.MAX_VALUE))));
  }

  @Test
  void secretsAreNotInTheTexts() {
    Decision decision =
        Decision.of(
            response(Outcome.OUTCOME_ESCALATE, false).addObligations(approval()).build());
    assertFalse(decision.toString().contains("secret-token"));
    assertFalse(decision.obligations().toString().contains("secret-token"));
    assertFalse(new Prompt("m", "secret-token", Optional.empty()).toString().contains("secret"));
    DecisionRequest request = HELLO.toBuilder().tokens(List.of("secret-token")).build();
    assertFalse(request.toString().contains("secret-token"));
  }

  @Test
  void halvesOfSurrogatePairsAreRefused() {
    assertThrows(IllegalArgumentException.class, () -> DecisionRequest.ofText("a\uD83D"));
    assertThrows(IllegalArgumentException.class, () -> DecisionRequest.ofText("\uDE00b"));
    DecisionRequest emoji = DecisionRequest.ofText("\uD83D\uDE00");
    assertEquals("\uD83D\uDE00", emoji.message().getContent().getText());
    Map<String, Object> arguments = Map.of("a", "\uD83D");
    assertThrows(
        IllegalArgumentException.class, () -> DecisionRequest.builder().arguments(arguments));
  }
}
