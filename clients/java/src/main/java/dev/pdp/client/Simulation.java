package dev.pdp.client;

import dev.pdp.v1.SimulateResponse;
import java.util.List;

/**
 * What would be decided. It is no permission: nothing was recorded, and no limit was used.
 *
 * @param decision the decision that a request would get
 * @param layers one entry for each layer
 * @param raw the message of the server
 */
public record Simulation(Decision decision, List<LayerResult> layers, SimulateResponse raw) {
  static Simulation of(SimulateResponse response) {
    return new Simulation(
        Decision.of(response.getDecision()),
        response.getLayersList().stream().map(LayerResult::of).toList(),
        response);
  }

  /** Returns the simulation without its texts. */
  @Override
  public String toString() {
    return "Simulation[decision=" + decision + ", layers=" + layers.size() + "]";
  }
}
