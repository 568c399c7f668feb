package dev.pdp.client;

import io.grpc.ChannelCredentials;
import io.grpc.TlsChannelCredentials;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/**
 * How to connect by TLS.
 *
 * @param caFile a PEM file with the CA certificates to trust; empty for the public CAs
 * @param certFile a PEM file with a client certificate; empty if the server requires none
 * @param keyFile a PEM file with the key of the client certificate
 * @param serverName the name in the server's certificate; empty for that of the address
 */
public record Tls(
    Optional<Path> caFile,
    Optional<Path> certFile,
    Optional<Path> keyFile,
    Optional<String> serverName) {
  /**
   * Creates the options.
   *
   * @param caFile a PEM file with the CA certificates to trust; empty for the public CAs
   * @param certFile a PEM file with a client certificate; empty if the server requires none
   * @param keyFile a PEM file with the key of the client certificate
   * @param serverName the name in the server's certificate; empty for that of the address
   * @throws IllegalArgumentException if only one of {@code certFile} and {@code keyFile} is set
   */
  public Tls {
    if (certFile.isPresent() != keyFile.isPresent()) {
      throw new IllegalArgumentException("client certificate and key: set both or neither");
    }
  }

  /**
   * Returns TLS that trusts the public CAs.
   *
   * @return the options
   */
  public static Tls publicCas() {
    return new Tls(Optional.empty(), Optional.empty(), Optional.empty(), Optional.empty());
  }

  /**
   * Returns TLS that trusts only the CAs of a file.
   *
   * @param caFile a PEM file with CA certificates
   * @return the options
   */
  public static Tls trusting(Path caFile) {
    return new Tls(Optional.of(caFile), Optional.empty(), Optional.empty(), Optional.empty());
  }

  /**
   * Returns these options with a client certificate.
   *
   * @param certFile a PEM file with the certificate
   * @param keyFile a PEM file with its key
   * @return the options
   */
  public Tls withClientCertificate(Path certFile, Path keyFile) {
    return new Tls(caFile, Optional.of(certFile), Optional.of(keyFile), serverName);
  }

  /**
   * Returns these options with the name in the server's certificate.
   *
   * @param name the name
   * @return the options
   */
  public Tls withServerName(String name) {
    return new Tls(caFile, certFile, keyFile, Optional.of(name));
  }

  /**
   * Returns the credentials of a channel.
   *
   * @throws IllegalArgumentException if a file cannot be read
   */
  ChannelCredentials channelCredentials() {
    TlsChannelCredentials.Builder builder = TlsChannelCredentials.newBuilder();
    try {
      if (caFile.isPresent()) {
        builder.trustManager(pem(caFile.get(), "CERTIFICATE"));
      }
      if (certFile.isPresent()) {
        builder.keyManager(
            pem(certFile.get(), "CERTIFICATE"), pem(keyFile.orElseThrow(), "PRIVATE KEY"));
      }
    } catch (IOException error) {
      throw new IllegalArgumentException("TLS: a file cannot be read: " + error, error);
    }
    return builder.build();
  }

  private static ByteArrayInputStream pem(Path file, String content) throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    String text = new String(bytes, java.nio.charset.StandardCharsets.ISO_8859_1);
    if (!text.contains("-----BEGIN " + content) && !text.contains(content + "-----")) {
      throw new IllegalArgumentException("TLS: " + file + " holds no " + content + " in PEM form");
    }
    return new ByteArrayInputStream(bytes);
  }
}
