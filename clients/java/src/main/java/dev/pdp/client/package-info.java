/**
 * A client of the policy decision point (PDP).
 *
 * <p>{@link dev.pdp.client.PdpClient} asks for decisions, and fails closed. {@link
 * dev.pdp.client.Enforcement} does what a decision says.
 */
package dev.pdp.client;
