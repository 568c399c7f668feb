package dev.pdp.client;

/**
 * A message of a policy to show to the user. The request goes out all the same.
 *
 * @param policyId the ID of the policy
 * @param message the message
 */
public record Warning(String policyId, String message) {}
