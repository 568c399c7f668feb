package dev.pdp.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.TlsServerCredentials;
import io.grpc.TlsServerCredentials.ClientAuth;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** TLS is checked, and never replaced by plaintext. */
class TlsTest {
  private static final DecisionRequest HELLO = DecisionRequest.ofText("hello");
  private static final Duration PATIENT = Duration.ofSeconds(60);

  @TempDir static Path folder;
  private static Certificates own;
  private static Certificates other;
  private static Certificates named;
  private static FakeServer server;

  @BeforeAll
  static void start() throws Exception {
    own = Certificates.of(folder, "localhost", true);
    other = Certificates.of(folder, "other.example", true);
    named = Certificates.of(folder, "pdp.example", false);
    server = serve(own, ClientAuth.NONE);
  }

  @AfterAll
  static void stop() throws Exception {
    server.close();
  }

  private static FakeServer serve(Certificates certificates, ClientAuth auth) throws Exception {
    return new FakeServer(
        0,
        TlsServerCredentials.newBuilder()
            .keyManager(certificates.certificate().toFile(), certificates.key().toFile())
            .trustManager(other.certificate().toFile())
            .clientAuth(auth)
            .build());
  }

  private static Decision decide(FakeServer target, Tls tls, Duration timeout) {
    try (PdpClient client =
        PdpClient.builder(target.address()).tls(tls).timeout(timeout).build()) {
      return client.decide(HELLO);
    }
  }

  @Test
  void aTrustedServerDecides() {
    assertTrue(decide(server, Tls.trusting(own.certificate()), PATIENT).allowed());
  }

  @Test
  void anotherCertificateIsADenial() {
    Duration timeout = Duration.ofSeconds(1);
    assertTrue(decide(server, Tls.trusting(other.certificate()), timeout).unavailable());
    assertTrue(decide(server, Tls.publicCas(), timeout).unavailable());
  }

  @Test
  void theNameOfTheServerIsChecked() throws Exception {
    try (FakeServer elsewhere = serve(named, ClientAuth.NONE)) {
      Tls tls = Tls.trusting(named.certificate());
      assertTrue(decide(elsewhere, tls, Duration.ofSeconds(1)).unavailable());
      assertTrue(decide(elsewhere, tls.withServerName("pdp.example"), PATIENT).allowed());
    }
  }

  @Test
  void aClientCertificateIsSent() throws Exception {
    try (FakeServer strict = serve(own, ClientAuth.REQUIRE)) {
      Tls tls = Tls.trusting(own.certificate());
      assertTrue(decide(strict, tls, Duration.ofSeconds(1)).unavailable());
      Tls withCertificate = tls.withClientCertificate(other.certificate(), other.key());
      assertTrue(decide(strict, withCertificate, PATIENT).allowed());
    }
  }

  @Test
  void aServerWithoutTlsIsADenial() throws Exception {
    try (FakeServer plain = new FakeServer()) {
      Tls tls = Tls.trusting(own.certificate());
      assertTrue(decide(plain, tls, Duration.ofSeconds(1)).unavailable());
      assertTrue(plain.requests.isEmpty());
    }
  }

  @Test
  void aFileThatCannotBeUsedIsAnError() throws Exception {
    Path empty = Files.createFile(folder.resolve("empty.pem"));
    Path broken =
        Files.writeString(
            folder.resolve("broken.pem"),
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    for (Path file : new Path[] {folder.resolve("missing.pem"), folder, empty, broken}) {
      Tls tls = Tls.trusting(file);
      PdpClient.Builder builder = PdpClient.builder("127.0.0.1:1").tls(tls);
      assertThrows(IllegalArgumentException.class, builder::build, file::toString);
      PdpClient.Builder second =
          PdpClient.builder("127.0.0.1:1")
              .tls(Tls.trusting(own.certificate()).withClientCertificate(file, own.key()));
      assertThrows(IllegalArgumentException.class, second::build, file::toString);
    }
  }

  @Test
  void plaintextIsOnlyForThisMachineUnlessAskedFor() {
    assertTrue(new Addresses(java.util.List.of("127.0.0.1:1", "[::1]:2", "localhost:3")).isLocal());
    assertTrue(new Addresses(java.util.List.of("unix:/run/pdp.sock")).isLocal());
    for (String each : new String[] {"10.0.0.1:1", "127.0.0.1.example:1", "pdp.example:50051"}) {
      assertEquals(false, new Addresses(java.util.List.of(each)).isLocal(), each);
    }
    PdpClient.Builder both = PdpClient.builder("127.0.0.1:1").tls(Tls.publicCas()).plaintext();
    assertThrows(IllegalArgumentException.class, both::build);
  }

  @Test
  void optionsAreChecked() {
    for (String each : new String[] {"", "host", "host:", ":1", "http://host:1", "host:1/x", "h:0"}) {
      PdpClient.Builder builder = PdpClient.builder(each);
      assertThrows(IllegalArgumentException.class, builder::build, each);
    }
    PdpClient.Builder none = PdpClient.builder();
    assertThrows(IllegalArgumentException.class, none::build);
    PdpClient.Builder mixed = PdpClient.builder("127.0.0.1:1", "unix:/run/pdp.sock");
    assertThrows(IllegalArgumentException.class, mixed::build);
    assertThrows(IllegalArgumentException.class, () -> none.timeout(Duration.ZERO));
    assertThrows(IllegalArgumentException.class, () -> none.maxWaitingCalls(0));
    assertThrows(
        IllegalArgumentException.class,
        () ->
            Credentials.from(java.util.Map.of("PDP_API_KEY", "key", "PDP_TOKEN", "token")));
  }
}
