package dev.pdp.client;

/**
 * The model that the request must be sent to.
 *
 * @param model the name of the model
 * @param provider its provider; empty if a server of an older version does not name it
 */
public record Route(String model, String provider) {}
