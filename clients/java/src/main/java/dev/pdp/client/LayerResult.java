package dev.pdp.client;

import java.util.List;
import java.util.Optional;

/**
 * The result of one layer in a simulation.
 *
 * @param layer the name of the layer
 * @param outcome the outcome of the layer alone; empty if it was not evaluated
 * @param reason explains the outcome
 * @param matches the policies of the layer that matched
 */
public record LayerResult(
    String layer, Optional<Outcome> outcome, String reason, List<Match> matches) {
  static LayerResult of(dev.pdp.v1.LayerResult result) {
    return new LayerResult(
        result.getLayer(),
        Outcome.of(result.getOutcome()),
        result.getReason(),
        result.getMatchesList().stream().map(Match::of).toList());
  }
}
