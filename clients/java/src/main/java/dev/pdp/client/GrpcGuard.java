package dev.pdp.client;

import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import java.util.Optional;

/** Says what to decide on before a message of a gRPC call goes on. */
@FunctionalInterface
public interface GrpcGuard {
  /**
   * Returns the request to decide on.
   *
   * @param method the method of the call
   * @param headers the metadata of the call
   * @param message the message of the caller
   * @return the request; empty if the message goes on without a decision
   */
  Optional<DecisionRequest> request(
      MethodDescriptor<?, ?> method, Metadata headers, Object message);

  /**
   * Returns the message that goes on. By default, that is the same message, and a decision that
   * changes something, for instance by a redaction, is a denial.
   *
   * @param message the message of the caller
   * @param request what was decided on
   * @param decision the decision
   * @param permit what may go out
   * @return the message with what the permit holds
   * @throws DeniedException if the message cannot be changed as the decision says
   */
  default Object apply(
      Object message, DecisionRequest request, Decision decision, Permit permit) {
    if (decision.redacted() || permit.route().isPresent() || !permit.maskedFields().isEmpty()) {
      throw new DeniedException(
          decision, "the message must be changed, and this guard cannot change it");
    }
    return message;
  }
}
