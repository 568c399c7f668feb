package dev.pdp.client;

import com.google.protobuf.Message;
import dev.pdp.v1.DecideRequest;
import dev.pdp.v1.DecideResponse;
import dev.pdp.v1.Obligation;
import dev.pdp.v1.ObligationType;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * What an enforcement point does with a decision: {@link #enforce}, and {@link #resume} if the
 * request was held.
 *
 * <p>It fails closed: an outcome or an obligation that it does not know, or cannot fulfil, is a
 * denial.
 */
public final class Enforcement {
  private Enforcement() {}

  /**
   * Returns what may go out by a decision.
   *
   * @param request the request that was decided
   * @param decision the decision
   * @return what may go out
   * @throws DeniedException if the request is stopped, or the decision has something that this
   *     client does not understand or cannot fulfil
   * @throws HeldException if the user must confirm first, or a second person must approve
   */
  public static Permit enforce(DecisionRequest request, Decision decision) {
    return enforce(request, decision, false);
  }

  /**
   * Returns what may go out by a decision.
   *
   * @param request the request that was decided
   * @param decision the decision
   * @param confirmed whether the user has confirmed the prompts of this decision. Prefer {@link
   *     #resume}: then the policies of that moment judge the request, and a confirmation is used
   *     once
   * @return what may go out
   * @throws DeniedException if the request is stopped, or the decision has something that this
   *     client does not understand or cannot fulfil
   * @throws HeldException if the user must confirm first, or a second person must approve
   */
  public static Permit enforce(DecisionRequest request, Decision decision, boolean confirmed) {
    return new Enforced(request.message(), decision).permit(confirmed);
  }

  /**
   * Returns a held request as it is to be sent again.
   *
   * <p>It has the token of the approval, and the confirmation of the prompts if the user has
   * confirmed them. As long as the approval is not given, the request is held again. If another
   * person or prompt holds it then, resume the returned request.
   *
   * @param request the request that was held
   * @param held what {@link #enforce} has thrown
   * @param confirmed whether the user has confirmed the prompts
   * @return the request to send again
   * @throws IllegalArgumentException if there is nothing to send it again with: the user has not
   *     confirmed, or the server gives no confirmations
   */
  public static DecisionRequest resume(
      DecisionRequest request, HeldException held, boolean confirmed) {
    Set<String> tokens = new LinkedHashSet<>();
    held.approval().map(Approval::token).ifPresent(tokens::add);
    if (confirmed) {
      for (Prompt prompt : held.decision().obligations().prompts()) {
        if (!prompt.confirmation().isEmpty()) {
          tokens.add(prompt.confirmation());
        }
      }
    }
    if (tokens.isEmpty()) {
      throw new IllegalArgumentException(
          "the request cannot be sent again: "
              + (confirmed
                  ? "the decision has no confirmation"
                  : "the user has not confirmed"));
    }
    DecideRequest message = request.message();
    tokens.removeAll(message.getTokensList());
    return DecisionRequest.of(message.toBuilder().addAllTokens(tokens).build());
  }

  /** Throws {@code NotPermittedException} if a decision on a part of a text stops the text. */
  static void checkStreamed(Decision decision) {
    new Enforced(DecideRequest.getDefaultInstance(), decision).checkStreamed();
  }

  static String name(Obligation obligation) {
    if (obligation.getType() == ObligationType.UNRECOGNIZED) {
      return String.valueOf(obligation.getTypeValue());
    }
    return obligation.getType().name().replaceFirst("^OBLIGATION_TYPE_", "");
  }

  /** One decision on one request. */
  private record Enforced(DecideRequest request, Decision decision) {
    private static final Set<Outcome> STOPPED = EnumSet.of(Outcome.CANCEL, Outcome.BLOCK);

    private DecideResponse response() {
      return decision.raw();
    }

    private Obligations obligations() {
      return decision.obligations();
    }

    private DeniedException denied(String reason) {
      return new DeniedException(decision, reason);
    }

    Permit permit(boolean confirmed) {
      checkUnderstood();
      checkOutcome();
      List<String> prompts = checkHeld(confirmed);
      if (!request.hasPayload()) {
        return permit(prompts, text(), arguments(), "");
      }
      return permit(prompts, "", Optional.empty(), payload());
    }

    /** The spans of a part need not be there, and the released text is redacted already. */
    void checkStreamed() {
      checkUnderstood();
      checkHeld(false);
    }

    /** Throws if the request waits for a person; returns the prompts that are confirmed. */
    private List<String> checkHeld(boolean confirmed) {
      List<String> prompts = obligations().prompts().stream().map(Prompt::message).toList();
      Optional<Approval> approval = approval();
      if (approval.isPresent()) {
        throw new HeldException(decision, prompts, approval);
      }
      if (decision.outcome() == Outcome.ESCALATE) {
        throw denied("the outcome ESCALATE has no obligation that says what to do");
      }
      if ((!prompts.isEmpty() || decision.outcome() == Outcome.PROMPT) && !confirmed) {
        String message =
            decision.message().isEmpty() ? "Please confirm the request." : decision.message();
        throw new HeldException(
            decision, prompts.isEmpty() ? List.of(message) : prompts, Optional.empty());
      }
      return prompts;
    }

    private Permit permit(
        List<String> prompts, String text, Optional<Arguments> arguments, String payload) {
      List<String> fields = obligations().maskedFields();
      Optional<Arguments> masked = arguments.map(each -> each.masked(fields));
      Set<String> places = new HashSet<>(request.getTarget().getFieldsList());
      arguments.ifPresent(each -> addKeys(each.value(), places));
      for (String field : fields) {
        if (!places.contains(field)) {
          throw denied(
              "the field " + field + " must be masked, and the request has no such field");
        }
      }
      return new Permit(
          text,
          masked.map(Arguments::value),
          masked.map(Arguments::json).orElse(""),
          payload,
          route(),
          decision.warnings().stream().map(Warning::message).toList(),
          prompts,
          fields);
    }

    /** Throws if the decision stops the request, is another's, or contradicts itself. */
    private void checkUnderstood() {
      Decision own;
      try {
        own = Decision.of(response());
      } catch (MalformedAnswerException malformed) {
        throw denied(malformed.getMessage());
      }
      if (!own.equals(decision)) {
        throw denied("the decision is not that of the server");
      }
      if (STOPPED.contains(decision.outcome())) {
        throw denied(
            decision.message().isEmpty() ? "The request is not allowed." : decision.message());
      }
      if (!request.getRequestId().isEmpty()
          && !request.getRequestId().equals(response().getRequestId())) {
        throw denied("the decision is for another request");
      }
      response().getObligationsList().forEach(this::checkObligation);
    }

    /** Throws if no obligation says how to comply with the outcome. */
    private void checkOutcome() {
      Set<ObligationType> needed =
          switch (decision.outcome()) {
            case REDACT ->
                EnumSet.of(
                    ObligationType.OBLIGATION_TYPE_REDACT,
                    ObligationType.OBLIGATION_TYPE_MASK_FIELDS);
            case ROUTE_TO -> EnumSet.of(ObligationType.OBLIGATION_TYPE_ROUTE_TO);
            case ESCALATE -> EnumSet.of(ObligationType.OBLIGATION_TYPE_APPROVAL);
            default -> EnumSet.noneOf(ObligationType.class);
          };
      if (!needed.isEmpty()
          && response().getObligationsList().stream()
              .map(Obligation::getType)
              .noneMatch(needed::contains)) {
        throw denied(
            "the outcome " + decision.outcome() + " has no obligation that says what to do");
      }
    }

    private void checkObligation(Obligation obligation) {
      String missing =
          switch (obligation.getType()) {
            case OBLIGATION_TYPE_REDACT -> obligation.getSpansCount() > 0 ? "" : "spans";
            case OBLIGATION_TYPE_ROUTE_TO -> obligation.getModel().isEmpty() ? "model" : "";
            case OBLIGATION_TYPE_PROMPT -> obligation.getMessage().isEmpty() ? "message" : "";
            case OBLIGATION_TYPE_MASK_FIELDS -> obligation.getFieldsCount() > 0 ? "" : "fields";
            case OBLIGATION_TYPE_APPROVAL -> {
              if (obligation.getApprovalId().isEmpty()) {
                yield "approval_id";
              }
              if (obligation.getToken().isEmpty()) {
                yield "token";
              }
              yield obligation.hasExpiresAt() ? "" : "expires_at";
            }
            default -> throw denied("the obligation " + name(obligation) + " is not known");
          };
      if (!missing.isEmpty()) {
        throw denied("the obligation " + name(obligation) + " has no " + missing);
      }
      if (hasUnknownFields(obligation)
          || obligation.getSpansList().stream().anyMatch(Enforced::hasUnknownFields)) {
        throw denied("the obligation " + name(obligation) + " has a field that is not known");
      }
    }

    private static boolean hasUnknownFields(Message message) {
      return !message.getUnknownFields().asMap().isEmpty();
    }

    private Optional<Approval> approval() {
      if (obligations().approvals().size() > 1) {
        throw denied("the decision names several approvals");
      }
      Optional<Approval> approval = obligations().approval();
      if (approval.isPresent() && approval.get().expiresAt().isEmpty()) {
        throw denied("the approval expires at a time that does not exist");
      }
      return approval;
    }

    private Optional<Route> route() {
      if (obligations().routes().size() > 1) {
        throw denied("the decision names several models to route to");
      }
      return obligations().route();
    }

    private String payload() {
      if (response().getPayloadFormat().isEmpty()) {
        throw denied("the server does not know payloads, and has not judged this one");
      }
      if (response().hasRedactedPayload()) {
        return response().getRedactedPayload();
      }
      if (hasSpans(true) || hasSpans(false)) {
        throw denied("the payload must be redacted, and the decision has no redacted payload");
      }
      return request.getPayload().getBody();
    }

    private String text() {
      if (response().hasRedactedText()) {
        return response().getRedactedText();
      }
      if (hasSpans(false)) {
        throw denied("the text must be redacted, and the decision has no redacted text");
      }
      return request.getContent().getText();
    }

    private Optional<Arguments> arguments() {
      if (response().hasRedactedArgumentsJson()) {
        return Optional.of(parsed(response().getRedactedArgumentsJson()));
      }
      if (response().hasRedactedArguments()) {
        return Optional.of(Arguments.of(Json.of(response().getRedactedArguments())));
      }
      if (hasSpans(true)) {
        throw denied("the arguments must be redacted, and the decision has no redacted arguments");
      }
      if (!request.getArgumentsJson().isEmpty()) {
        return Optional.of(parsed(request.getArgumentsJson()));
      }
      return request.hasArguments()
          ? Optional.of(Arguments.of(Json.of(request.getArguments())))
          : Optional.empty();
    }

    private Arguments parsed(String text) {
      try {
        return new Arguments(Json.parseObject(text), text);
      } catch (IllegalArgumentException malformed) {
        throw denied("the arguments are not a JSON object");
      }
    }

    /** Returns whether something in the arguments, or in the text, must be redacted. */
    private boolean hasSpans(boolean inArguments) {
      return obligations().redactions().stream()
          .flatMap(each -> each.spans().stream())
          .anyMatch(span -> span.path().isPresent() == inArguments);
    }

    private static void addKeys(Object value, Set<String> keys) {
      if (value instanceof Map<?, ?> map) {
        map.forEach(
            (name, item) -> {
              keys.add((String) name);
              addKeys(item, keys);
            });
      } else if (value instanceof Iterable<?> items) {
        items.forEach(each -> addKeys(each, keys));
      }
    }
  }

  /** Arguments, and the same as JSON text. */
  private record Arguments(Map<String, Object> value, String json) {
    static Arguments of(Map<String, Object> value) {
      return new Arguments(value, Json.write(value));
    }

    Arguments masked(List<String> fields) {
      @SuppressWarnings("unchecked")
      Map<String, Object> masked = (Map<String, Object>) Permit.mask(value, fields);
      return masked.equals(value) ? this : of(masked);
    }
  }
}
