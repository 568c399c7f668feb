package dev.pdp.client;

import io.grpc.Metadata;
import java.util.Map;
import java.util.function.Supplier;

/** What a client proves with who it is: an API key, or a token for each call. */
public final class Credentials {
  private static final Metadata.Key<String> API_KEY =
      Metadata.Key.of("x-api-key", Metadata.ASCII_STRING_MARSHALLER);
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  private final Metadata.Key<String> key;
  private final Supplier<String> value;

  private Credentials(Metadata.Key<String> key, Supplier<String> value) {
    this.key = key;
    this.value = value;
  }

  /**
   * Returns an API key.
   *
   * @param key the key
   * @return the credentials
   */
  public static Credentials apiKey(String key) {
    return new Credentials(API_KEY, () -> key);
  }

  /**
   * Returns a signed token (JWT).
   *
   * @param token the token
   * @return the credentials
   */
  public static Credentials token(String token) {
    return token(() -> token);
  }

  /**
   * Returns credentials with a new token for each attempt of a call.
   *
   * @param token returns the token. It runs in a thread of the client. If it throws, the call is
   *     treated as if no server was available
   * @return the credentials
   */
  public static Credentials token(Supplier<String> token) {
    return new Credentials(AUTHORIZATION, () -> "Bearer " + token.get());
  }

  /**
   * Returns no credentials.
   *
   * @return the credentials
   */
  public static Credentials none() {
    return new Credentials(null, () -> "");
  }

  /**
   * Returns the credentials in the environment: {@code PDP_API_KEY} or {@code PDP_TOKEN}.
   *
   * @return the credentials; none if neither variable is set
   * @throws IllegalArgumentException if both are set
   */
  public static Credentials fromEnvironment() {
    return from(System.getenv());
  }

  static Credentials from(Map<String, String> environment) {
    String apiKey = environment.getOrDefault("PDP_API_KEY", "");
    String token = environment.getOrDefault("PDP_TOKEN", "");
    if (!apiKey.isEmpty() && !token.isEmpty()) {
      throw new IllegalArgumentException("PDP_API_KEY and PDP_TOKEN: set only one of them");
    }
    if (!apiKey.isEmpty()) {
      return apiKey(apiKey);
    }
    return token.isEmpty() ? none() : token(token);
  }

  /** Adds the credential to the metadata of a call. */
  void addTo(Metadata metadata) {
    if (key != null) {
      metadata.put(key, value.get());
    }
  }
}
