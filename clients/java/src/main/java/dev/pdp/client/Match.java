package dev.pdp.client;

/**
 * A policy that matched.
 *
 * @param layer the layer of the policy, for instance {@code static}
 * @param policyId the ID of the policy
 * @param name the name of the policy
 * @param action the action of the policy
 * @param severity the severity of the policy
 * @param reason what the policy matched
 */
public record Match(
    String layer, String policyId, String name, String action, String severity, String reason) {
  static Match of(dev.pdp.v1.Match match) {
    return new Match(
        match.getLayer(),
        match.getPolicyId(),
        match.getName(),
        match.getAction(),
        match.getSeverity(),
        match.getReason());
  }
}
