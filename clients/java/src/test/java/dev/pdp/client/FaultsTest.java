package dev.pdp.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Any;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import dev.pdp.v1.DecideResponse;
import dev.pdp.v1.Outcome;
import io.grpc.InsecureServerCredentials;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.health.v1.HealthCheckResponse.ServingStatus;
import io.grpc.protobuf.StatusProto;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Without a decision of a server, the client denies. */
class FaultsTest {
  private static final Duration PATIENT = Duration.ofSeconds(60);
  private static final Duration SHORT = Duration.ofMillis(200);
  private static final CallSettings THROWING = CallSettings.defaults().throwingIfUnavailable();
  private static final DecisionRequest HELLO = DecisionRequest.ofText("hello");

  private FakeServer server;

  @BeforeEach
  void start() throws Exception {
    server = new FakeServer();
  }

  @AfterEach
  void stop() throws Exception {
    server.close();
  }

  private PdpClient.Builder client() {
    return client(PATIENT);
  }

  private PdpClient.Builder client(Duration timeout) {
    return PdpClient.builder(server.address())
        .credentials(Credentials.none())
        .timeout(timeout)
        .circuitBreaker(1000, PATIENT);
  }

  private static void assertBlocked(Decision decision) {
    assertFalse(decision.allowed());
    assertEquals(dev.pdp.client.Outcome.BLOCK, decision.outcome());
    assertEquals(Decision.PDP_UNAVAILABLE, decision.reasonCode());
    assertTrue(decision.unavailable());
    assertThrows(DeniedException.class, () -> Enforcement.enforce(HELLO, decision));
  }

  @Test
  void aServerThatIsDownIsADenial() throws Exception {
    server.close();
    try (PdpClient client = client(Duration.ofSeconds(1)).build()) {
      assertBlocked(client.decide(HELLO));
      PdpException error =
          assertThrows(PdpException.class, () -> client.decide(HELLO, THROWING));
      assertTrue(error.unavailable());
      assertEquals("UNAVAILABLE", error.reason());
    }
  }

  @Test
  void aClientCanWaitUntilAServerIsReady() throws Exception {
    int port = server.port();
    try (PdpClient client = client().build()) {
      assertTrue(client.awaitReady(PATIENT));
      assertTrue(client.awaitReady(PATIENT));
      client.close();
      assertFalse(client.awaitReady(PATIENT));
    }
    server.close();
    try (PdpClient client = client().build()) {
      assertFalse(client.awaitReady(SHORT));
      server = new FakeServer(port, InsecureServerCredentials.create());
      assertTrue(client.awaitReady(PATIENT));
      assertTrue(client.decide(HELLO).allowed());
    }
  }

  @Test
  void aSlowServerIsADenial() {
    server.behaviour = FakeServer.silent();
    try (PdpClient client = client(SHORT).build()) {
      assertBlocked(client.decide(HELLO));
      PdpException error =
          assertThrows(PdpException.class, () -> client.decide(HELLO, THROWING));
      assertEquals(Status.Code.DEADLINE_EXCEEDED, error.code());
      client.decideBatch(List.of()).forEach(FaultsTest::assertBlocked);
    }
  }

  @Test
  void aTimeoutOfTheCallReplacesThatOfTheClient() {
    server.behaviour = FakeServer.silent();
    try (PdpClient client = client(PATIENT).build()) {
      assertBlocked(client.decide(HELLO, CallSettings.defaults().withTimeout(SHORT)));
    }
  }

  @Test
  void aConnectionThatNeverAnswersIsADenial() throws Exception {
    try (ServerSocket socket = new ServerSocket(0, 50, InetAddress.getByName("127.0.0.1"));
        PdpClient client =
            PdpClient.builder("127.0.0.1:" + socket.getLocalPort()).timeout(SHORT).build()) {
      assertBlocked(client.decide(HELLO));
    }
  }

  @Test
  void aRestartedServerDecidesAgain() throws Exception {
    int port = server.port();
    try (PdpClient client = client().build()) {
      assertTrue(client.decide(HELLO).allowed());
      server.close();
      assertBlocked(client.decide(HELLO, CallSettings.defaults().withTimeout(SHORT)));
      server = new FakeServer(port, InsecureServerCredentials.create());
      Decision decision = client.decide(HELLO);
      while (!decision.allowed()) { // until it is connected; Surefire ends a test that never ends
        decision = client.decide(HELLO);
      }
    }
  }

  static Stream<DecideResponse.Builder> malformed() {
    return Stream.of(
        DecideResponse.newBuilder(),
        DecideResponse.newBuilder().setAllowed(true),
        DecideResponse.newBuilder().setOutcomeValue(99).setAllowed(true),
        DecideResponse.newBuilder().setOutcomeValue(-1).setAllowed(true),
        DecideResponse.newBuilder().setOutcome(Outcome.OUTCOME_BLOCK).setAllowed(true),
        DecideResponse.newBuilder().setOutcome(Outcome.OUTCOME_PROMPT).setAllowed(true),
        DecideResponse.newBuilder().setOutcome(Outcome.OUTCOME_ESCALATE).setAllowed(true),
        DecideResponse.newBuilder().setOutcome(Outcome.OUTCOME_ALLOW).setAllowed(false));
  }

  @ParameterizedTest
  @MethodSource("malformed")
  void aMalformedAnswerIsADenial(DecideResponse.Builder response) {
    server.behaviour = FakeServer.always(response);
    try (PdpClient client = client().build()) {
      assertBlocked(client.decide(HELLO));
      PdpException error =
          assertThrows(PdpException.class, () -> client.decide(HELLO, THROWING));
      assertEquals("MALFORMED_ANSWER", error.reason());
      client.decideBatch(List.of(HELLO, HELLO)).forEach(FaultsTest::assertBlocked);
      try (TextStream stream = client.openTextStream(HELLO)) {
        assertThrows(DeniedException.class, () -> stream.feed("secret"));
        assertThrows(DeniedException.class, stream::finish);
      }
    }
  }

  @Test
  void anAnswerToAnotherRequestIsADenial() {
    server.behaviour =
        (request, answer) -> {
          answer.onNext(FakeServer.allow().setRequestId("another").build());
          answer.onCompleted();
        };
    try (PdpClient client = client().build()) {
      assertBlocked(client.decide(HELLO));
      client.decideBatch(List.of(HELLO)).forEach(FaultsTest::assertBlocked);
      try (TextStream stream = client.openTextStream(HELLO)) {
        assertThrows(DeniedException.class, () -> stream.feed("secret"));
      }
    }
  }

  @Test
  void aBatchWithTooFewAnswersIsADenial() {
    server.behaviour = FakeServer.silent();
    try (PdpClient client = client().build()) {
      List<Decision> decisions = client.decideBatch(List.of(HELLO, HELLO));
      assertEquals(2, decisions.size());
      decisions.forEach(FaultsTest::assertBlocked);
    }
  }

  @Test
  void aServerThatIsNotServingIsNotUsed() throws Exception {
    try (FakeServer other = new FakeServer();
        PdpClient client =
            PdpClient.builder(server.address(), other.address()).timeout(PATIENT).build()) {
      server.health.setStatus("", ServingStatus.NOT_SERVING);
      for (int count = 0; count < 4; count++) {
        assertTrue(client.decide(HELLO).allowed());
      }
      assertEquals(List.of(), server.requests);
      assertEquals(4, other.requests.size());
    }
    try (PdpClient client = client().withoutHealthWatch().build()) {
      assertTrue(client.decide(HELLO).allowed());
    }
  }

  @Test
  void anUnavailableServerIsTriedAgain() {
    AtomicInteger count = new AtomicInteger();
    server.behaviour =
        (request, answer) ->
            (count.incrementAndGet() < 3
                    ? FakeServer.failing(Status.UNAVAILABLE)
                    : FakeServer.always(FakeServer.allow()))
                .answer(request, answer);
    try (PdpClient client = client().build()) {
      assertTrue(client.decide(HELLO).allowed());
    }
    assertEquals(3, server.requests.size());
    assertEquals(1, server.requests.stream().distinct().count());
  }

  @Test
  void aRequestWithTokensIsSentOnce() {
    server.behaviour = FakeServer.failing(Status.UNAVAILABLE);
    DecisionRequest request = HELLO.toBuilder().tokens(List.of("token")).build();
    try (PdpClient client = client().build()) {
      assertBlocked(client.decide(request));
      assertEquals(1, server.requests.size());
      client.decideBatch(List.of(request));
      assertEquals(2, server.requests.size());
    }
  }

  @Test
  void otherErrorsAreNotRetried() {
    try (PdpClient client = client().build()) {
      for (Status status : List.of(Status.INTERNAL, Status.UNKNOWN, Status.DEADLINE_EXCEEDED)) {
        server.requests.clear();
        server.behaviour = FakeServer.failing(status);
        assertBlocked(client.decide(HELLO));
        assertEquals(1, server.requests.size());
      }
    }
  }

  @Test
  void retriesHaveABudget() {
    server.behaviour = FakeServer.failing(Status.UNAVAILABLE);
    int calls = 40;
    try (PdpClient client = client().build()) {
      for (int count = 0; count < calls; count++) {
        assertBlocked(client.decide(HELLO));
      }
    }
    int retries = server.requests.size() - calls;
    assertTrue(retries <= 10 + calls / 10, () -> "there were " + retries + " retries");
  }

  @Test
  void errorsOfTheRequestAreErrorsOfTheCall() {
    com.google.rpc.Status details =
        com.google.rpc.Status.newBuilder()
            .setCode(Status.Code.INVALID_ARGUMENT.value())
            .setMessage("action: is not an action")
            .addDetails(Any.pack(ErrorInfo.newBuilder().setReason("INVALID_ACTION").build()))
            .addDetails(
                Any.pack(
                    BadRequest.newBuilder()
                        .addFieldViolations(
                            BadRequest.FieldViolation.newBuilder()
                                .setField("action")
                                .setDescription("is not an action"))
                        .build()))
            .build();
    server.behaviour =
        (request, answer) -> answer.onError(StatusProto.toStatusRuntimeException(details));
    try (PdpClient client = client().build()) {
      PdpException error = assertThrows(PdpException.class, () -> client.decide(HELLO));
      assertEquals("INVALID_ACTION", error.reason());
      assertEquals("action: is not an action", error.getMessage());
      assertEquals(
          List.of(new FieldViolation("action", "is not an action")), error.violations());
      assertFalse(error.unavailable());
      CompletionException later =
          assertThrows(CompletionException.class, () -> client.decideAsync(HELLO).join());
      assertInstanceOf(PdpException.class, later.getCause());
      try (TextStream stream = client.openTextStream(HELLO)) {
        assertThrows(PdpException.class, () -> stream.feed("text"));
      }
    }
    assertEquals(3, server.requests.size());
  }

  @Test
  void anOpenCircuitFailsFast() {
    server.behaviour = FakeServer.failing(Status.UNAVAILABLE);
    try (PdpClient client = client().circuitBreaker(2, PATIENT).build()) {
      client.decide(HELLO);
      client.decide(HELLO);
      int before = server.requests.size();
      assertBlocked(client.decide(HELLO));
      PdpException error =
          assertThrows(PdpException.class, () -> client.decide(HELLO, THROWING));
      assertEquals("CIRCUIT_OPEN", error.reason());
      try (TextStream stream = client.openTextStream(HELLO)) {
        assertThrows(DeniedException.class, () -> stream.feed("text"));
      }
      assertEquals(before, server.requests.size());
    }
  }

  @Test
  void tooManyCallsFailFast() throws Exception {
    server.behaviour = FakeServer.silent();
    try (PdpClient client = client().maxWaitingCalls(1).build()) {
      CompletableFuture<Decision> first = client.decideAsync(HELLO);
      PdpException error =
          assertThrows(PdpException.class, () -> client.decide(HELLO, THROWING));
      assertEquals("TOO_MANY_CALLS", error.reason());
      assertBlocked(client.decide(HELLO));
      first.cancel(true);
      server.behaviour = FakeServer.always(FakeServer.allow());
      assertTrue(client.decide(HELLO).allowed());
    }
  }

  @Test
  void aCancelledFutureCancelsTheCall() throws Exception {
    server.behaviour = FakeServer.silent();
    try (PdpClient client = client().build()) {
      CompletableFuture<Decision> decision = client.decideAsync(HELLO);
      while (server.requests.isEmpty()) {
        Thread.onSpinWait();
      }
      decision.cancel(true);
      assertTrue(server.cancelled.await(60, TimeUnit.SECONDS));
    }
  }

  @Test
  void anInterruptedCallerGetsADenial() {
    server.behaviour = FakeServer.silent();
    try (PdpClient client = client().build()) {
      Thread.currentThread().interrupt();
      assertBlocked(client.decide(HELLO));
      assertTrue(Thread.interrupted());
      assertThrows(
          PdpException.class,
          () -> {
            Thread.currentThread().interrupt();
            client.decide(HELLO, THROWING);
          });
      assertTrue(Thread.interrupted());
    }
  }

  @Test
  void aClosedClientDenies() {
    server.behaviour = FakeServer.silent();
    PdpClient client = client().build();
    CompletableFuture<Decision> open = client.decideAsync(HELLO);
    client.close();
    assertBlocked(open.join());
    assertBlocked(client.decide(HELLO));
    assertThrows(
        DeniedException.class, () -> client.openTextStream(HELLO).feed("text"));
    client.close();
  }

  @Test
  void callsAreSpreadOverTheServers() throws Exception {
    try (FakeServer other = new FakeServer();
        PdpClient client =
            PdpClient.builder(server.address(), other.address()).timeout(PATIENT).build()) {
      while (server.requests.isEmpty() || other.requests.isEmpty()) {
        assertTrue(client.decide(HELLO).allowed());
      }
      server.close();
      other.requests.clear();
      assertTrue(client.decide(HELLO).allowed());
      assertTrue(client.decide(HELLO).allowed());
    }
  }

  @Test
  void metadataGoesWithEachCall() {
    AtomicInteger count = new AtomicInteger();
    Credentials credentials = Credentials.token(() -> "token-" + count.incrementAndGet());
    try (PdpClient client = client().credentials(credentials).tenant("acme").build()) {
      client.decide(HELLO.toBuilder().requestId("mine").build());
      client.decide(
          HELLO,
          CallSettings.defaults().withTenant("other").withTraceparent("00-trace-parent-01"));
    }
    Metadata first = decideMetadata(0);
    assertEquals("Bearer token-1", value(first, "authorization"));
    assertEquals("acme", value(first, "x-tenant-id"));
    assertEquals("mine", value(first, "x-request-id"));
    Metadata second = decideMetadata(1);
    assertEquals("Bearer token-2", value(second, "authorization"));
    assertEquals("other", value(second, "x-tenant-id"));
    assertEquals("00-trace-parent-01", value(second, "traceparent"));
    assertEquals(server.requests.get(1).getRequestId(), value(second, "x-request-id"));
  }

  @Test
  void anApiKeyGoesWithEachCall() {
    try (PdpClient client = client().credentials(Credentials.apiKey("key")).build()) {
      client.decide(HELLO);
      try (TextStream stream = client.openTextStream(HELLO)) {
        stream.feed("hello");
      }
    }
    assertEquals("key", value(decideMetadata(0), "x-api-key"));
    assertEquals("key", value(decideMetadata(1), "x-api-key"));
  }

  @Test
  void aTokenThatCannotBeHadIsADenial() {
    Credentials credentials =
        Credentials.token(
            () -> {
              throw new IllegalStateException("no token");
            });
    try (PdpClient client = client(Duration.ofSeconds(1)).credentials(credentials).build()) {
      assertBlocked(client.decide(HELLO));
    }
    assertTrue(server.requests.isEmpty());
  }

  private Metadata decideMetadata(int index) {
    return server.metadata.get(index);
  }

  private static String value(Metadata metadata, String name) {
    return metadata.get(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER));
  }

  @Test
  void aStreamThatBreaksIsADenial() {
    try (PdpClient client = client().build();
        TextStream stream = client.openTextStream(HELLO);
        TextStream throwing = client.openTextStream(HELLO, THROWING)) {
      assertEquals("one", stream.feed("one"));
      assertEquals("one", throwing.feed("one"));
      server.behaviour = FakeServer.failing(Status.UNAVAILABLE);
      DeniedException denied =
          assertThrows(DeniedException.class, () -> stream.feed("two"));
      assertBlocked(denied.decision());
      assertThrows(PdpException.class, () -> throwing.feed("two"));
      server.behaviour = FakeServer.always(FakeServer.allow());
      assertThrows(DeniedException.class, () -> stream.feed("three"));
      assertThrows(DeniedException.class, stream::finish);
    }
  }

  @Test
  void aStreamThatIsSilentIsADenial() {
    server.behaviour = FakeServer.silent();
    try (PdpClient client = client(SHORT).build();
        TextStream stream = client.openTextStream(HELLO)) {
      assertThrows(DeniedException.class, () -> stream.feed("text"));
      assertThrows(DeniedException.class, () -> stream.feed("more"));
    }
  }

  @Test
  void aStreamHasABoundOnWaitingChunks() {
    server.behaviour = FakeServer.silent();
    try (PdpClient client = client().build();
        TextStream stream = client.openTextStream(HELLO)) {
      for (int count = 0; count < 64; count++) {
        stream.feedAsync("text");
      }
      assertThrows(IllegalStateException.class, () -> stream.feedAsync("more"));
    }
  }
}
