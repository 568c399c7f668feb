package dev.pdp.client;

import com.google.protobuf.Timestamp;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * What the caller must do to comply with a decision. {@link Enforcement#enforce} does it.
 *
 * @param redactions what to redact
 * @param maskedFields the fields to mask
 * @param routes the models to send the request to; more than one cannot be fulfilled
 * @param prompts what the user must confirm
 * @param approvals the approvals that are needed; more than one cannot be fulfilled
 * @param unknown the names of the obligations that this client does not know. A request with one
 *     must not go out
 */
public record Obligations(
    List<Redaction> redactions,
    List<String> maskedFields,
    List<Route> routes,
    List<Prompt> prompts,
    List<Approval> approvals,
    List<String> unknown) {
  /**
   * Returns the model to send the request to.
   *
   * @return the first one; empty if the request goes to the model that it names
   */
  public Optional<Route> route() {
    return routes.stream().findFirst();
  }

  /**
   * Returns the approval that the request waits for.
   *
   * @return the first one; empty if it waits for none
   */
  public Optional<Approval> approval() {
    return approvals.stream().findFirst();
  }

  static Obligations of(List<dev.pdp.v1.Obligation> obligations) {
    List<Redaction> redactions = new ArrayList<>();
    Set<String> maskedFields = new LinkedHashSet<>();
    Set<Route> routes = new LinkedHashSet<>();
    List<Prompt> prompts = new ArrayList<>();
    List<Approval> approvals = new ArrayList<>();
    List<String> unknown = new ArrayList<>();
    for (dev.pdp.v1.Obligation each : obligations) {
      switch (each.getType()) {
        case OBLIGATION_TYPE_REDACT ->
            redactions.add(
                new Redaction(
                    each.getReplacement(), each.getSpansList().stream().map(Span::of).toList()));
        case OBLIGATION_TYPE_MASK_FIELDS -> maskedFields.addAll(each.getFieldsList());
        case OBLIGATION_TYPE_ROUTE_TO -> routes.add(new Route(each.getModel(), each.getProvider()));
        case OBLIGATION_TYPE_PROMPT ->
            prompts.add(new Prompt(each.getMessage(), each.getConfirmation(), expiry(each)));
        case OBLIGATION_TYPE_APPROVAL ->
            approvals.add(
                new Approval(
                    each.getApprovalId(),
                    each.getMessage(),
                    each.getToken(),
                    expiry(each),
                    each.getApprovalState()));
        default -> unknown.add(Enforcement.name(each));
      }
    }
    return new Obligations(
        List.copyOf(redactions),
        List.copyOf(maskedFields),
        List.copyOf(routes),
        List.copyOf(prompts),
        List.copyOf(approvals),
        List.copyOf(unknown));
  }

  /** Returns when an obligation expires; empty if it does not say so, or names no real time. */
  private static Optional<Instant> expiry(dev.pdp.v1.Obligation obligation) {
    if (!obligation.hasExpiresAt()) {
      return Optional.empty();
    }
    Timestamp time = obligation.getExpiresAt();
    if (time.getNanos() < 0 || time.getNanos() > 999_999_999) {
      return Optional.empty();
    }
    try {
      return Optional.of(Instant.ofEpochSecond(time.getSeconds(), time.getNanos()));
    } catch (DateTimeException tooFar) {
      return Optional.empty();
    }
  }
}
