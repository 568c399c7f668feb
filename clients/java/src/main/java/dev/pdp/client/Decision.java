package dev.pdp.client;

import dev.pdp.v1.DecideResponse;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/**
 * A decision. Do not let a request pass by {@code allowed} alone: {@link Enforcement#enforce} does
 * what the decision says.
 *
 * @param outcome the strongest outcome of all layers
 * @param allowed whether the request may go out once the obligations are fulfilled
 * @param message explains the decision to the user
 * @param reasonCode the reason for programs; empty for a plain ALLOW
 * @param decisionId the ID of the decision; empty if the server made none
 * @param requestId the ID of the request
 * @param revision the policy revision that the decision is based on
 * @param matches the policies that matched
 * @param warnings the messages to show to the user
 * @param obligations what the caller must do
 * @param retryAfter when the request can pass; empty if that is not known
 * @param inputHash identifies what was decided on; empty if the server does not tell
 * @param statusHint the HTTP status that a gateway can answer with
 * @param raw the message of the server. It holds tokens and the redacted text; keep it out of logs
 */
public record Decision(
    Outcome outcome,
    boolean allowed,
    String message,
    String reasonCode,
    String decisionId,
    String requestId,
    long revision,
    List<Match> matches,
    List<Warning> warnings,
    Obligations obligations,
    Optional<Duration> retryAfter,
    String inputHash,
    int statusHint,
    DecideResponse raw) {
  /** The reason code of a decision that the client made because there is none of a server. */
  public static final String PDP_UNAVAILABLE = "PDP_UNAVAILABLE";

  /**
   * Returns whether the decision redacts the text, the arguments or the payload.
   *
   * @return whether it redacts
   */
  public boolean redacted() {
    return raw.hasRedactedText()
        || raw.hasRedactedArguments()
        || raw.hasRedactedArgumentsJson()
        || raw.hasRedactedPayload();
  }

  /**
   * Returns whether the client made this decision because no server did.
   *
   * @return whether there is no decision of a server
   */
  public boolean unavailable() {
    return reasonCode.equals(PDP_UNAVAILABLE);
  }

  /**
   * Returns the decision of a message.
   *
   * @throws MalformedAnswerException if the outcome is unknown, or contradicts {@code allowed}
   */
  static Decision of(DecideResponse response) {
    Outcome outcome =
        Outcome.of(response.getOutcome())
            .orElseThrow(
                () ->
                    new MalformedAnswerException(
                        "the outcome " + response.getOutcomeValue() + " is not known"));
    if (outcome.allows() != response.getAllowed()) {
      throw new MalformedAnswerException(
          "allowed is " + response.getAllowed() + " for the outcome " + outcome);
    }
    Optional<Duration> retryAfter =
        response.hasRetryAfterS()
            ? Optional.of(Duration.ofSeconds(response.getRetryAfterS()))
            : Optional.empty();
    return new Decision(
        outcome,
        response.getAllowed(),
        response.getMessage(),
        response.getReasonCode(),
        response.getDecisionId(),
        response.getRequestId(),
        response.getRevision(),
        response.getMatchesList().stream().map(Match::of).toList(),
        response.getWarningsList().stream()
            .map(each -> new Warning(each.getPolicyId(), each.getMessage()))
            .toList(),
        Obligations.of(response.getObligationsList()),
        retryAfter,
        response.getInputHash(),
        response.getStatusHint(),
        response);
  }

  /** Returns the decision in place of one of a server. */
  static Decision unavailable(String requestId) {
    return of(
        DecideResponse.newBuilder()
            .setOutcome(dev.pdp.v1.Outcome.OUTCOME_BLOCK)
            .setRequestId(requestId)
            .setMessage("The request could not be checked, and was stopped.")
            .setReasonCode(PDP_UNAVAILABLE)
            .setStatusHint(503)
            .setIncomplete(true)
            .build());
  }

  /** Returns the decision without its texts and tokens. */
  @Override
  public String toString() {
    return "Decision[outcome="
        + outcome
        + ", reasonCode="
        + reasonCode
        + ", decisionId="
        + decisionId
        + ", requestId="
        + requestId
        + "]";
  }
}
