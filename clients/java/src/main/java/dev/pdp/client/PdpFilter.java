package dev.pdp.client;

import com.google.gson.JsonObject;
import jakarta.servlet.Filter;
import jakarta.servlet.FilterChain;
import jakarta.servlet.ReadListener;
import jakarta.servlet.ServletException;
import jakarta.servlet.ServletInputStream;
import jakarta.servlet.ServletRequest;
import jakarta.servlet.ServletResponse;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletRequestWrapper;
import jakarta.servlet.http.HttpServletResponse;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.Enumeration;
import java.util.Optional;

/**
 * Asks for a decision before an HTTP request reaches the application, which then reads the body as
 * the decision redacts it.
 *
 * <p>It fails closed. A request that is not permitted, that cannot be read or that gets no decision
 * does not reach the application. The answer is then {@code {"error": {"code", "message",
 * "decision_id"}}}, with the status that the server suggests, or 503 if there is no decision.
 *
 * <p>The application finds the {@link Permit} in the attribute {@link #PERMIT}, and shows its
 * warnings. If a decision routes the request to another model or masks fields of the answer, the
 * request is denied, unless {@link #applyingPermits} says that the application does what the permit
 * says.
 */
public final class PdpFilter implements Filter {
  /** The name of the request attribute with the {@link Permit}. */
  public static final String PERMIT = "dev.pdp.client.permit";

  /** The name of the request attribute with the {@link Decision}. */
  public static final String DECISION = "dev.pdp.client.decision";

  private static final int MAX_BODY_BYTES = 8 << 20;

  /** Says what to decide on. */
  @FunctionalInterface
  public interface Guard {
    /**
     * Returns the request to decide on.
     *
     * @param request the HTTP request. Its body is in {@code body}
     * @param body the body
     * @return the request; empty if the HTTP request goes on without a decision
     */
    Optional<DecisionRequest> request(HttpServletRequest request, String body);
  }

  private final PdpClient client;
  private final Guard guard;
  private final boolean applying;

  /**
   * Creates a filter that decides on the body.
   *
   * @param client decides
   * @param format the format of the body, for instance {@code openai.chat_completions}; if it is
   *     empty, the server looks at the body. A request without a body is refused
   */
  public PdpFilter(PdpClient client, String format) {
    this(
        client,
        (request, body) ->
            Optional.of(DecisionRequest.builder().payload(format, body).build()));
  }

  /**
   * Creates a filter that decides on what a function returns. If this is a payload or a text, it
   * must be the whole body: if the decision redacts it, it takes the place of the body.
   *
   * @param client decides
   * @param guard says what to decide on
   */
  public PdpFilter(PdpClient client, Guard guard) {
    this(client, guard, false);
  }

  private PdpFilter(PdpClient client, Guard guard, boolean applying) {
    this.client = client;
    this.guard = guard;
    this.applying = applying;
  }

  /**
   * Returns a filter for an application that sends requests to the model of the {@link Permit},
   * uses its arguments, and masks fields of its answers.
   *
   * @return the filter
   */
  public PdpFilter applyingPermits() {
    return new PdpFilter(client, guard, true);
  }

  @Override
  public void doFilter(ServletRequest request, ServletResponse response, FilterChain chain)
      throws IOException, ServletException {
    if (!(request instanceof HttpServletRequest httpRequest)
        || !(response instanceof HttpServletResponse httpResponse)) {
      throw new ServletException("the filter needs HTTP");
    }
    ServletRequest permitted;
    try {
      permitted = permitted(httpRequest);
    } catch (NotPermittedException refusal) {
      refuse(httpResponse, refusal.decision(), refusal.reason());
      return;
    } catch (UnreadableException error) {
      refuse(httpResponse, error.status, error.code, error.getMessage(), "");
      return;
    } catch (PdpException error) {
      int status = error.violations().isEmpty() ? 503 : 400;
      refuse(httpResponse, status, error.reason(), "The request could not be checked.", "");
      return;
    } catch (RuntimeException error) {
      request.getServletContext().log("the request could not be checked", error);
      refuse(httpResponse, 500, "INTERNAL", "The request could not be checked.", "");
      return;
    }
    chain.doFilter(permitted, response);
  }

  private ServletRequest permitted(HttpServletRequest http)
      throws IOException, UnreadableException {
    byte[] bytes = read(http);
    String body = text(bytes);
    Optional<DecisionRequest> wanted = guard.request(http, body);
    if (wanted.isEmpty()) {
      return new WithBody(http, bytes);
    }
    DecisionRequest request = wanted.get();
    Decision decision = client.decide(request);
    Permit permit = Enforcement.enforce(request, decision);
    http.setAttribute(DECISION, decision);
    http.setAttribute(PERMIT, permit);
    byte[] permitted = redacted(request, decision, permit, body, bytes);
    if (!applying && (permit.route().isPresent() || !permit.maskedFields().isEmpty())) {
      throw new DeniedException(
          decision, "the application cannot do what the decision says");
    }
    return new WithBody(http, permitted);
  }

  private byte[] redacted(
      DecisionRequest request, Decision decision, Permit permit, String body, byte[] bytes) {
    boolean ofArguments =
        decision.raw().hasRedactedArguments() || decision.raw().hasRedactedArgumentsJson();
    if (ofArguments && !applying) {
      throw new DeniedException(decision, "the application cannot redact the arguments");
    }
    String before;
    String after;
    if (request.message().hasPayload()) {
      before = request.message().getPayload().getBody();
      after = permit.payload();
    } else {
      before = request.message().getContent().getText();
      after = permit.text();
    }
    if (after.equals(before)) {
      return bytes;
    }
    if (!before.equals(body)) {
      throw new DeniedException(
          decision, "the body must be redacted, and it is not what was decided on");
    }
    return after.getBytes(StandardCharsets.UTF_8);
  }

  private static byte[] read(HttpServletRequest request) throws IOException, UnreadableException {
    String encoding = request.getHeader("Content-Encoding");
    if (encoding != null && !encoding.isEmpty() && !encoding.equalsIgnoreCase("identity")) {
      throw new UnreadableException(415, "UNSUPPORTED_MEDIA_TYPE", "The body is compressed.");
    }
    byte[] bytes = request.getInputStream().readNBytes(MAX_BODY_BYTES + 1);
    if (bytes.length > MAX_BODY_BYTES) {
      throw new UnreadableException(413, "TOO_LARGE", "The body is too large to be checked.");
    }
    return bytes;
  }

  private static String text(byte[] bytes) throws UnreadableException {
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
    } catch (CharacterCodingException error) {
      throw new UnreadableException(400, "INVALID_ARGUMENT", "The body is not UTF-8.");
    }
  }

  private static void refuse(HttpServletResponse response, Decision decision, String reason)
      throws IOException {
    int hint = decision.statusHint();
    decision
        .retryAfter()
        .ifPresent(each -> response.setHeader("Retry-After", String.valueOf(each.toSeconds())));
    String code = decision.reasonCode().isEmpty() ? "DENIED" : decision.reasonCode();
    refuse(response, hint >= 400 && hint < 600 ? hint : 403, code, reason, decision.decisionId());
  }

  private static void refuse(
      HttpServletResponse response, int status, String code, String message, String decisionId)
      throws IOException {
    JsonObject error = new JsonObject();
    error.addProperty("code", code);
    error.addProperty("message", message);
    if (!decisionId.isEmpty()) {
      error.addProperty("decision_id", decisionId);
    }
    JsonObject body = new JsonObject();
    body.add("error", error);
    byte[] bytes = body.toString().getBytes(StandardCharsets.UTF_8);
    response.setStatus(status);
    response.setContentType("application/json");
    response.setContentLength(bytes.length);
    response.getOutputStream().write(bytes);
  }

  /** The request cannot be checked. */
  private static final class UnreadableException extends Exception {
    private static final long serialVersionUID = 1L;

    private final int status;
    private final String code;

    UnreadableException(int status, String code, String message) {
      super(message);
      this.status = status;
      this.code = code;
    }
  }

  /** A request with another body. */
  private static final class WithBody extends HttpServletRequestWrapper {
    private final byte[] body;
    private final Body stream;
    private final BufferedReader reader;

    WithBody(HttpServletRequest request, byte[] body) {
      super(request);
      this.body = body;
      this.stream = new Body(new ByteArrayInputStream(body));
      this.reader = new BufferedReader(new InputStreamReader(stream, StandardCharsets.UTF_8));
    }

    @Override
    public ServletInputStream getInputStream() {
      return stream;
    }

    @Override
    public BufferedReader getReader() {
      return reader;
    }

    @Override
    public String getCharacterEncoding() {
      return "UTF-8";
    }

    @Override
    public int getContentLength() {
      return body.length;
    }

    @Override
    public long getContentLengthLong() {
      return body.length;
    }

    @Override
    public String getHeader(String name) {
      return isLength(name) ? String.valueOf(body.length) : super.getHeader(name);
    }

    @Override
    public int getIntHeader(String name) {
      return isLength(name) ? body.length : super.getIntHeader(name);
    }

    @Override
    public Enumeration<String> getHeaders(String name) {
      return isLength(name)
          ? Collections.enumeration(Collections.singleton(getHeader(name)))
          : super.getHeaders(name);
    }

    private static boolean isLength(String name) {
      return name.equalsIgnoreCase("Content-Length");
    }
  }

  /** The stream of a body that is in memory. */
  private static final class Body extends ServletInputStream {
    private final ByteArrayInputStream bytes;

    Body(ByteArrayInputStream bytes) {
      this.bytes = bytes;
    }

    @Override
    public int read() {
      return bytes.read();
    }

    @Override
    public int read(byte[] buffer, int offset, int length) {
      return bytes.read(buffer, offset, length);
    }

    @Override
    public boolean isFinished() {
      return bytes.available() == 0;
    }

    @Override
    public boolean isReady() {
      return true;
    }

    @Override
    public void setReadListener(ReadListener listener) {
      throw new IllegalStateException("the body is in memory; read it");
    }
  }
}
