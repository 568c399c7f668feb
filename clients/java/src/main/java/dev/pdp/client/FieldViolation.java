package dev.pdp.client;

/**
 * What is wrong with a field of a request.
 *
 * @param field the path of the field
 * @param reason what is wrong
 */
public record FieldViolation(String field, String reason) {}
