package dev.pdp.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.pdp.v1.DecideResponse;
import dev.pdp.v1.Obligation;
import dev.pdp.v1.ObligationType;
import dev.pdp.v1.Outcome;
import io.grpc.Status;
import jakarta.servlet.DispatcherType;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import org.eclipse.jetty.ee10.servlet.FilterHolder;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** An HTTP request reaches the application only if the decision permits it. */
class PdpFilterTest {
  private final List<String> received = new CopyOnWriteArrayList<>();
  private final HttpClient http = HttpClient.newHttpClient();
  private FakeServer pdp;
  private PdpClient client;
  private Server application;
  private String url;

  @BeforeEach
  void start() throws Exception {
    pdp = new FakeServer();
    client =
        PdpClient.builder(pdp.address())
            .timeout(Duration.ofSeconds(60))
            .circuitBreaker(1000, Duration.ofSeconds(60))
            .build();
    pdp.behaviour = FakeServer.always(payload());
  }

  @AfterEach
  void stop() throws Exception {
    application.stop();
    client.close();
    pdp.close();
  }

  private static DecideResponse.Builder payload() {
    return FakeServer.allow().setPayloadFormat("json").setDecisionId("d1");
  }

  private void serve(PdpFilter filter) throws Exception {
    application = new Server();
    ServerConnector connector = new ServerConnector(application);
    connector.setHost("127.0.0.1");
    application.addConnector(connector);
    ServletContextHandler context = new ServletContextHandler("/");
    context.addFilter(new FilterHolder(filter), "/*", EnumSet.of(DispatcherType.REQUEST));
    context.addServlet(new ServletHolder(new Echo()), "/*");
    application.setHandler(context);
    application.start();
    url = "http://127.0.0.1:" + connector.getLocalPort() + "/chat";
  }

  /** Answers with what it has read. */
  private final class Echo extends HttpServlet {
    private static final long serialVersionUID = 1L;

    @Override
    protected void service(HttpServletRequest request, HttpServletResponse response)
        throws IOException {
      byte[] body = request.getInputStream().readAllBytes();
      received.add(new String(body, StandardCharsets.UTF_8));
      assertEquals(body.length, request.getContentLength());
      assertEquals(body.length, request.getIntHeader("content-length"));
      response.setHeader(
          "Permit", String.valueOf(request.getAttribute(PdpFilter.PERMIT) instanceof Permit));
      response.getOutputStream().write(body);
    }
  }

  private HttpResponse<String> post(byte[] body, String... headers) throws Exception {
    HttpRequest.Builder request =
        HttpRequest.newBuilder(URI.create(url)).POST(BodyPublishers.ofByteArray(body));
    if (headers.length > 0) {
      request.headers(headers);
    }
    return http.send(request.build(), BodyHandlers.ofString());
  }

  private HttpResponse<String> post(String body) throws Exception {
    return post(body.getBytes(StandardCharsets.UTF_8));
  }

  private void assertRefused(int status, String code, HttpResponse<String> response) {
    JsonObject error = JsonParser.parseString(response.body()).getAsJsonObject();
    assertEquals(code, error.getAsJsonObject("error").get("code").getAsString());
    assertEquals(status, response.statusCode());
    assertTrue(received.isEmpty(), received::toString);
  }

  @Test
  void aPermittedBodyReachesTheApplication() throws Exception {
    serve(new PdpFilter(client, "json"));
    HttpResponse<String> response = post("{\"a\": \"ü\"}");
    assertEquals("{\"a\": \"ü\"}", response.body());
    assertEquals("true", response.headers().firstValue("Permit").orElseThrow());
    assertEquals("json", pdp.requests.get(0).getPayload().getFormat());
    assertEquals("{\"a\": \"ü\"}", pdp.requests.get(0).getPayload().getBody());
  }

  @Test
  void theApplicationReadsTheRedactedBody() throws Exception {
    serve(new PdpFilter(client, "json"));
    pdp.behaviour =
        FakeServer.always(
            payload()
                .setOutcome(Outcome.OUTCOME_REDACT)
                .setRedactedPayload("{\"a\": \"[REDACTED]\"}")
                .addObligations(
                    Obligation.newBuilder()
                        .setType(ObligationType.OBLIGATION_TYPE_REDACT)
                        .addSpans(dev.pdp.v1.Span.newBuilder().setPath("/a").setEnd(2))));
    assertEquals("{\"a\": \"[REDACTED]\"}", post("{\"a\": \"x1\"}").body());
    assertEquals(List.of("{\"a\": \"[REDACTED]\"}"), received);
  }

  @Test
  void aDeniedRequestIsRefused() throws Exception {
    serve(new PdpFilter(client, "json"));
    pdp.behaviour =
        FakeServer.always(
            payload()
                .setOutcome(Outcome.OUTCOME_BLOCK)
                .setAllowed(false)
                .setReasonCode("LIMIT_EXCEEDED")
                .setMessage("Too much.")
                .setStatusHint(429)
                .setRetryAfterS(7));
    HttpResponse<String> response = post("{}");
    assertRefused(429, "LIMIT_EXCEEDED", response);
    assertEquals("7", response.headers().firstValue("Retry-After").orElseThrow());
    assertTrue(response.body().contains("Too much."));
    assertTrue(response.body().contains("d1"));
    pdp.behaviour =
        FakeServer.always(payload().setOutcome(Outcome.OUTCOME_PROMPT).setAllowed(false));
    assertRefused(403, "DENIED", post("{}"));
  }

  @Test
  void withoutADecisionTheRequestIsRefused() throws Exception {
    serve(new PdpFilter(client, "json"));
    pdp.behaviour = FakeServer.failing(Status.INTERNAL);
    assertRefused(503, "PDP_UNAVAILABLE", post("{}"));
    pdp.behaviour = FakeServer.failing(Status.UNAUTHENTICATED);
    assertRefused(503, "UNAUTHENTICATED", post("{}"));
    pdp.behaviour = FakeServer.always(FakeServer.allow()); // an old server: it knows no payloads
    assertRefused(403, "DENIED", post("{}"));
  }

  @Test
  void aBodyThatCannotBeReadIsRefused() throws Exception {
    serve(new PdpFilter(client, "json"));
    assertRefused(400, "INVALID_ARGUMENT", post(new byte[] {(byte) 0xff}));
    byte[] body = "{}".getBytes(StandardCharsets.UTF_8);
    assertRefused(415, "UNSUPPORTED_MEDIA_TYPE", post(body, "Content-Encoding", "gzip"));
    assertRefused(413, "TOO_LARGE", post(new byte[(8 << 20) + 1]));
    assertTrue(pdp.requests.isEmpty());
  }

  @Test
  void aRouteNeedsAnApplicationThatFollowsIt() throws Exception {
    serve(new PdpFilter(client, "json"));
    pdp.behaviour =
        FakeServer.always(
            payload()
                .setOutcome(Outcome.OUTCOME_ROUTE_TO)
                .addObligations(
                    Obligation.newBuilder()
                        .setType(ObligationType.OBLIGATION_TYPE_ROUTE_TO)
                        .setModel("small")));
    assertRefused(403, "DENIED", post("{}"));
    application.stop();
    serve(new PdpFilter(client, "json").applyingPermits());
    assertEquals("{}", post("{}").body());
  }

  @Test
  void aGuardSaysWhatToDecideOn() throws Exception {
    serve(
        new PdpFilter(
            client,
            (request, body) -> {
              if (body.equals("broken")) {
                throw new IllegalStateException("the guard is broken");
              }
              return request.getRequestURI().equals("/chat") && !body.isEmpty()
                  ? Optional.of(DecisionRequest.ofText(body))
                  : Optional.empty();
            }));
    assertRefused(500, "INTERNAL", post("broken"));
    assertEquals("hello", post("hello").body());
    assertEquals(1, pdp.requests.size());
    HttpResponse<String> open = post("");
    assertEquals(200, open.statusCode());
    assertEquals("false", open.headers().firstValue("Permit").orElseThrow());
    assertFalse(received.isEmpty());
    assertEquals(1, pdp.requests.size());
  }

  @Test
  void aBodyThatIsNotWhatWasDecidedOnIsNotRedacted() throws Exception {
    serve(
        new PdpFilter(
            client, (request, body) -> Optional.of(DecisionRequest.ofText(body.strip()))));
    pdp.behaviour =
        FakeServer.always(
            FakeServer.allow()
                .setOutcome(Outcome.OUTCOME_REDACT)
                .setRedactedText("[REDACTED]")
                .addObligations(
                    Obligation.newBuilder()
                        .setType(ObligationType.OBLIGATION_TYPE_REDACT)
                        .addSpans(dev.pdp.v1.Span.newBuilder().setEnd(2))));
    assertRefused(403, "DENIED", post(" x1"));
    assertEquals("[REDACTED]", post("x1").body());
  }
}
