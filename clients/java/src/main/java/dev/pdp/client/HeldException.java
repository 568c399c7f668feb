package dev.pdp.client;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** The request waits for a person. Send it again as {@link Enforcement#resume} returns it. */
public final class HeldException extends NotPermittedException {
  private static final long serialVersionUID = 1L;

  private final transient List<String> prompts;
  private final transient Optional<Approval> approval;

  HeldException(Decision decision, List<String> prompts, Optional<Approval> approval) {
    super(decision, reason(decision, prompts, approval));
    this.prompts = List.copyOf(prompts);
    this.approval = approval;
  }

  private static String reason(
      Decision decision, List<String> prompts, Optional<Approval> approval) {
    List<String> asked = new ArrayList<>(prompts);
    approval.map(Approval::message).filter(each -> !each.isEmpty()).ifPresent(asked::add);
    if (!asked.isEmpty()) {
      return String.join(" ", asked);
    }
    return decision.message().isEmpty()
        ? "The request waits for the approval of a second person."
        : decision.message();
  }

  /**
   * Returns the messages to show to the user, who must confirm.
   *
   * @return the messages; empty if only an approval is missing
   */
  public List<String> prompts() {
    return prompts;
  }

  /**
   * Returns the approval of a second person that is missing.
   *
   * @return the approval; empty if none is missing
   */
  public Optional<Approval> approval() {
    return approval;
  }
}
