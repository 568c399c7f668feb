package dev.pdp.client;

import dev.pdp.v1.DecideBatchRequest;
import dev.pdp.v1.DecideBatchResponse;
import dev.pdp.v1.DecideRequest;
import dev.pdp.v1.DecideResponse;
import dev.pdp.v1.DecideServiceGrpc;
import dev.pdp.v1.Overlay;
import dev.pdp.v1.SimulateRequest;
import dev.pdp.v1.SimulateServiceGrpc;
import io.grpc.Deadline;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * A client of the policy decision point (PDP). Create one, share it, and close it at the end.
 *
 * <p>It fails closed: if there is no decision within the timeout, or if the answer is malformed, the
 * decision is a BLOCK with the reason {@link Decision#PDP_UNAVAILABLE}, or a {@link PdpException}
 * if the {@link CallSettings} ask for it. No option lets such a request pass.
 *
 * <p>A {@code PdpException} that is thrown in any case says that the server refused the call, for
 * instance because a field is not valid. The request was not evaluated, so it must not go out.
 *
 * <p>All methods can be used by several threads at once.
 */
public final class PdpClient implements AutoCloseable {
  private static final Metadata.Key<String> TENANT = key("x-tenant-id");
  private static final Metadata.Key<String> REQUEST_ID = key("x-request-id");
  private static final Metadata.Key<String> TRACEPARENT = key("traceparent");

  private final Calls calls;
  private final Duration timeout;
  private final String tenant;
  private final Telemetry telemetry;

  private PdpClient(Builder builder) {
    Addresses addresses = new Addresses(builder.addresses);
    Optional<Tls> tls = builder.tls;
    if (tls.isEmpty() && !builder.plaintext && !addresses.isLocal()) {
      tls = Optional.of(Tls.publicCas());
    }
    Connection connection = new Connection(addresses, tls, builder.healthWatch);
    CircuitBreaker breaker =
        new CircuitBreaker(
            builder.breakerFailures, builder.breakerPause.toNanos(), System::nanoTime);
    calls = new Calls(connection, builder.credentials.get(), breaker, builder.maxWaitingCalls);
    timeout = builder.timeout;
    tenant = builder.tenant;
    telemetry = builder.telemetry;
  }

  /**
   * Returns a client with default options.
   *
   * @param addresses the addresses of the servers: HOST:PORT or unix:PATH
   * @return the client
   * @throws IllegalArgumentException if an address is not valid
   */
  public static PdpClient connect(String... addresses) {
    return builder(addresses).build();
  }

  /**
   * Returns a builder of a client.
   *
   * @param addresses the addresses of the servers: HOST:PORT or unix:PATH
   * @return the builder
   */
  public static Builder builder(String... addresses) {
    return new Builder(List.of(addresses));
  }

  /**
   * Connects before the first call, and waits until a server is ready. Use it when your program
   * starts: the first connection of a JVM is slow, and the timeout of a call includes it.
   *
   * @param timeout how long to wait
   * @return whether a server is ready
   */
  public boolean awaitReady(Duration timeout) {
    try {
      return calls.connection().awaitReady(timeout.toNanos());
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
      return false;
    }
  }

  /**
   * Decides on a request.
   *
   * @param request the request
   * @return the decision
   * @throws PdpException if the server refuses the call
   */
  public Decision decide(DecisionRequest request) {
    return decide(request, CallSettings.defaults());
  }

  /**
   * Decides on a request.
   *
   * @param request the request
   * @param settings how this call differs from the settings of the client
   * @return the decision
   * @throws PdpException if the server refuses the call
   */
  public Decision decide(DecisionRequest request, CallSettings settings) {
    return await(decideAsync(request, settings), () -> blocked(request, settings));
  }

  /**
   * Decides on a request.
   *
   * @param request the request
   * @return the decision; see {@link #decide(DecisionRequest)}. Cancel it to cancel the call
   */
  public CompletableFuture<Decision> decideAsync(DecisionRequest request) {
    return decideAsync(request, CallSettings.defaults());
  }

  /**
   * Decides on a request.
   *
   * @param request the request
   * @param settings how this call differs from the settings of the client
   * @return the decision; see {@link #decide(DecisionRequest)}. Cancel it to cancel the call
   */
  public CompletableFuture<Decision> decideAsync(DecisionRequest request, CallSettings settings) {
    DecideRequest message = withId(request.message());
    Telemetry.Observed observed = telemetry.start("pdp.v1.DecideService/Decide");
    CompletableFuture<DecideResponse> answer =
        calls.unary(
            DecideServiceGrpc.getDecideMethod(),
            message,
            metadata(settings, observed, message.getRequestId()),
            deadline(settings),
            message.getTokensCount() == 0);
    return linked(
        answer,
        response -> decision(response, message.getRequestId()),
        error -> failClosed(error, settings, () -> Decision.unavailable(message.getRequestId())),
        ended(observed));
  }

  /**
   * Decides on a document in the format of a provider or protocol.
   *
   * @param format the format, for instance {@code openai.chat_completions}; if it is empty, the
   *     server looks at the body
   * @param body the document
   * @return the decision
   * @throws PdpException if the server refuses the call
   */
  public Decision decidePayload(String format, String body) {
    return decide(DecisionRequest.builder().payload(format, body).build());
  }

  /**
   * Decides on a document in the format of a provider or protocol.
   *
   * @param format the format, for instance {@code openai.chat_completions}; if it is empty, the
   *     server looks at the body
   * @param body the document
   * @return the decision; see {@link #decide(DecisionRequest)}. Cancel it to cancel the call
   */
  public CompletableFuture<Decision> decidePayloadAsync(String format, String body) {
    return decideAsync(DecisionRequest.builder().payload(format, body).build());
  }

  /**
   * Decides on several requests by one revision of the policies.
   *
   * @param requests the requests
   * @return one decision for each request, in order
   * @throws PdpException if the server refuses the call
   */
  public List<Decision> decideBatch(List<DecisionRequest> requests) {
    return decideBatch(requests, CallSettings.defaults());
  }

  /**
   * Decides on several requests by one revision of the policies.
   *
   * @param requests the requests
   * @param settings how this call differs from the settings of the client
   * @return one decision for each request, in order
   * @throws PdpException if the server refuses the call
   */
  public List<Decision> decideBatch(List<DecisionRequest> requests, CallSettings settings) {
    return await(
        decideBatchAsync(requests, settings),
        () -> requests.stream().map(each -> blocked(each, settings)).toList());
  }

  /**
   * Decides on several requests by one revision of the policies.
   *
   * @param requests the requests
   * @param settings how this call differs from the settings of the client
   * @return one decision for each request, in order. Cancel it to cancel the call
   */
  public CompletableFuture<List<Decision>> decideBatchAsync(
      List<DecisionRequest> requests, CallSettings settings) {
    List<DecideRequest> messages =
        requests.stream().map(each -> withId(each.message())).toList();
    Telemetry.Observed observed = telemetry.start("pdp.v1.DecideService/DecideBatch");
    CompletableFuture<DecideBatchResponse> answer =
        calls.unary(
            DecideServiceGrpc.getDecideBatchMethod(),
            DecideBatchRequest.newBuilder().addAllRequests(messages).build(),
            metadata(settings, observed, newId()),
            deadline(settings),
            messages.stream().allMatch(each -> each.getTokensCount() == 0));
    return linked(
        answer,
        response -> decisions(response, messages, settings),
        error ->
            failClosed(
                error,
                settings,
                () ->
                    messages.stream()
                        .map(each -> Decision.unavailable(each.getRequestId()))
                        .toList()),
        (decisions, error) -> observed.end(error));
  }

  /**
   * Opens a stream for a text that arrives in chunks, for instance the output of a model.
   *
   * @param request everything except the text. An empty direction means an output
   * @return the stream. Close it
   */
  public TextStream openTextStream(DecisionRequest request) {
    return openTextStream(request, CallSettings.defaults());
  }

  /**
   * Opens a stream for a text that arrives in chunks, for instance the output of a model.
   *
   * @param request everything except the text. An empty direction means an output
   * @param settings how this call differs from the settings of the client. The timeout is for each
   *     chunk
   * @return the stream. Close it
   */
  public TextStream openTextStream(DecisionRequest request, CallSettings settings) {
    DecideRequest message = withId(request.message());
    Telemetry.Observed observed = telemetry.start("pdp.v1.DecideService/DecideStream");
    return TextStream.open(
        calls,
        message,
        metadata(settings, observed, message.getRequestId()),
        settings.timeout().orElse(timeout),
        settings.throwIfUnavailable(),
        observed);
  }

  /**
   * Says what would be decided, without an effect. It needs the role {@code auditor}.
   *
   * @param request the request
   * @return the result
   * @throws PdpException if the call fails
   */
  public Simulation simulate(DecisionRequest request) {
    return simulate(SimulateRequest.newBuilder().setRequest(request.message()).build());
  }

  /**
   * Says what would be decided with other policies, without an effect.
   *
   * @param request the request
   * @param policies candidates in the form of a policy file: the policies by section. They are
   *     merged into the policies of the tenant
   * @return the result
   * @throws PdpException if the call fails
   * @throws IllegalArgumentException if something in the policies has no form in JSON
   */
  public Simulation simulate(DecisionRequest request, Map<String, ?> policies) {
    Overlay overlay = Overlay.newBuilder().setPolicies(Json.struct(policies)).build();
    return simulate(
        SimulateRequest.newBuilder().setRequest(request.message()).setOverlay(overlay).build());
  }

  /**
   * Says what would be decided with any candidates of the contract, without an effect.
   *
   * @param request the request
   * @return the result
   * @throws PdpException if the call fails
   */
  public Simulation simulate(SimulateRequest request) {
    return await(
        simulateAsync(request, CallSettings.defaults()),
        () -> {
          throw interrupted();
        });
  }

  /**
   * Says what would be decided with any candidates of the contract, without an effect.
   *
   * @param request the request
   * @param settings how this call differs from the settings of the client. If there is no answer,
   *     the result is always an exception
   * @return the result. Cancel it to cancel the call
   */
  public CompletableFuture<Simulation> simulateAsync(
      SimulateRequest request, CallSettings settings) {
    SimulateRequest message =
        request.toBuilder().setRequest(withId(request.getRequest())).build();
    String id = message.getRequest().getRequestId();
    Telemetry.Observed observed = telemetry.start("pdp.v1.SimulateService/Simulate");
    return linked(
        calls.unary(
            SimulateServiceGrpc.getSimulateMethod(),
            message,
            metadata(settings, observed, id),
            deadline(settings),
            true),
        response -> {
          checkId(response.getDecision(), id);
          return Simulation.of(response);
        },
        error -> {
          throw error;
        },
        (simulation, error) -> observed.end(error));
  }

  /**
   * Returns the channel, for the stubs of {@code dev.pdp.v1}. It has no credentials, timeouts or
   * retries; the client closes it.
   *
   * @return the channel
   */
  public ManagedChannel channel() {
    return calls.connection().channel();
  }

  /** Ends all calls, closes the connections, and waits until the threads of the client end. */
  @Override
  public void close() {
    calls.close();
  }

  private static Decision decision(DecideResponse response, String requestId) {
    checkId(response, requestId);
    return Decision.of(response);
  }

  private static void checkId(DecideResponse response, String requestId) {
    if (!response.getRequestId().equals(requestId)) {
      throw new MalformedAnswerException("the decision is for another request");
    }
  }

  private static List<Decision> decisions(
      DecideBatchResponse response, List<DecideRequest> requests, CallSettings settings) {
    if (response.getResponsesCount() != requests.size()) {
      throw new MalformedAnswerException("the number of decisions is not that of requests");
    }
    List<Decision> decisions = new ArrayList<>();
    for (int index = 0; index < requests.size(); index++) {
      String id = requests.get(index).getRequestId();
      try {
        decisions.add(decision(response.getResponses(index), id));
      } catch (MalformedAnswerException error) {
        decisions.add(failClosed(error, settings, () -> Decision.unavailable(id)));
      }
    }
    return List.copyOf(decisions);
  }

  /** Returns the denial; throws the error if the caller wants it or is at fault. */
  private static <T> T failClosed(PdpException error, CallSettings settings, Supplier<T> denial) {
    if (!error.unavailable() || settings.throwIfUnavailable()) {
      throw error;
    }
    return denial.get();
  }

  private static BiConsumer<Decision, Throwable> ended(Telemetry.Observed observed) {
    return (decision, error) -> {
      if (decision != null) {
        observed.end(decision);
      } else {
        observed.end(error);
      }
    };
  }

  /** Returns the result of a call; if it is cancelled, the call is. */
  private static <R, T> CompletableFuture<T> linked(
      CompletableFuture<R> answer,
      Function<R, T> result,
      Function<PdpException, T> failure,
      BiConsumer<T, Throwable> ended) {
    CompletableFuture<T> linked = new CompletableFuture<>();
    linked.whenComplete(
        (value, error) -> {
          if (linked.isCancelled()) {
            answer.cancel(false);
          }
        });
    answer.whenComplete(
        (response, error) -> {
          T value = null;
          Throwable problem = null;
          try {
            value = converted(response, error, result, failure);
          } catch (RuntimeException own) {
            problem = own;
          }
          ended.accept(value, problem);
          if (problem == null) {
            linked.complete(value);
          } else {
            linked.completeExceptionally(problem);
          }
        });
    return linked;
  }

  private static <R, T> T converted(
      R response,
      Throwable error,
      Function<R, T> result,
      Function<PdpException, T> failure) {
    if (error instanceof CancellationException) {
      return failure.apply(interrupted());
    }
    if (error != null) {
      return failure.apply(PdpException.of(error));
    }
    try {
      return result.apply(response);
    } catch (MalformedAnswerException malformed) {
      return failure.apply(malformed);
    }
  }

  /** Waits for a result; returns the fallback if this thread is interrupted. */
  private static <T> T await(CompletableFuture<T> result, Supplier<T> fallback) {
    try {
      return result.get();
    } catch (InterruptedException error) {
      result.cancel(true);
      Thread.currentThread().interrupt();
      return fallback.get();
    } catch (ExecutionException error) {
      if (error.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      throw PdpException.of(error.getCause());
    }
  }

  private static Decision blocked(DecisionRequest request, CallSettings settings) {
    return failClosed(
        interrupted(), settings, () -> Decision.unavailable(request.message().getRequestId()));
  }

  private static PdpException interrupted() {
    return new PdpException(
        Status.Code.CANCELLED, "CANCELLED", "the caller stopped to wait", List.of(), null);
  }

  private Deadline deadline(CallSettings settings) {
    return Deadline.after(settings.timeout().orElse(timeout).toNanos(), TimeUnit.NANOSECONDS);
  }

  private Metadata metadata(
      CallSettings settings, Telemetry.Observed observed, String requestId) {
    Metadata metadata = new Metadata();
    String wanted = settings.tenant().orElse(tenant);
    if (!wanted.isEmpty()) {
      metadata.put(TENANT, wanted);
    }
    if (requestId.chars().allMatch(each -> each > ' ' && each < 127)) {
      metadata.put(REQUEST_ID, requestId);
    }
    if (settings.traceparent().isPresent()) {
      metadata.put(TRACEPARENT, settings.traceparent().get());
    } else {
      observed.inject(metadata);
    }
    return metadata;
  }

  private static DecideRequest withId(DecideRequest request) {
    return request.getRequestId().isEmpty()
        ? request.toBuilder().setRequestId(newId()).build()
        : request;
  }

  private static String newId() {
    return UUID.randomUUID().toString();
  }

  private static Metadata.Key<String> key(String name) {
    return Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER);
  }

  /** Builds a client. */
  public static final class Builder {
    private final List<String> addresses;
    private Supplier<Credentials> credentials = Credentials::fromEnvironment;
    private Optional<Tls> tls = Optional.empty();
    private boolean plaintext;
    private boolean healthWatch = true;
    private String tenant = "";
    private Duration timeout = Duration.ofSeconds(1);
    private int maxWaitingCalls = 1000;
    private int breakerFailures = 5;
    private Duration breakerPause = Duration.ofSeconds(1);
    private Telemetry telemetry = Telemetry.available();

    private Builder(List<String> addresses) {
      this.addresses = addresses;
    }

    /**
     * Sets the credentials of each call. By default, they come from the environment; see {@link
     * Credentials#fromEnvironment}.
     *
     * @param credentials the credentials
     * @return this builder
     */
    public Builder credentials(Credentials credentials) {
      this.credentials = () -> credentials;
      return this;
    }

    /**
     * Sets how to connect by TLS. By default, the client connects without TLS to addresses of this
     * machine (127.0.0.1, ::1, localhost, unix), and by TLS with the public CAs to all others.
     *
     * @param tls the options
     * @return this builder
     */
    public Builder tls(Tls tls) {
      this.tls = Optional.of(tls);
      return this;
    }

    /**
     * Connects without TLS to any address. The credentials and all texts are sent in plaintext.
     *
     * @return this builder
     */
    public Builder plaintext() {
      this.plaintext = true;
      return this;
    }

    /**
     * Sets the tenant of each call that names none.
     *
     * @param tenant the ID of the tenant
     * @return this builder
     */
    public Builder tenant(String tenant) {
      this.tenant = tenant;
      return this;
    }

    /**
     * Sets how long a call may take, with the connection and all retries. By default, it is 1 s.
     *
     * @param timeout the timeout
     * @return this builder
     * @throws IllegalArgumentException if it is not positive
     */
    public Builder timeout(Duration timeout) {
      require(!timeout.isNegative() && !timeout.isZero(), "timeout: must be positive");
      this.timeout = timeout;
      return this;
    }

    /**
     * Sets how many calls may wait at once. Further ones fail at once. By default, it is 1000.
     *
     * @param calls the number of calls
     * @return this builder
     * @throws IllegalArgumentException if it is not positive
     */
    public Builder maxWaitingCalls(int calls) {
      require(calls > 0, "maxWaitingCalls: must be positive");
      this.maxWaitingCalls = calls;
      return this;
    }

    /**
     * Sets when calls fail at once: after consecutive calls without an answer, for a while. Then
     * one call tries again. By default, it is after 5 calls for 1 s.
     *
     * @param failures the number of consecutive calls
     * @param pause for how long
     * @return this builder
     * @throws IllegalArgumentException if one of them is not positive
     */
    public Builder circuitBreaker(int failures, Duration pause) {
      require(failures > 0, "circuitBreaker: failures must be positive");
      require(!pause.isNegative() && !pause.isZero(), "circuitBreaker: pause must be positive");
      this.breakerFailures = failures;
      this.breakerPause = pause;
      return this;
    }

    /**
     * Uses every server that it can connect to. By default, the client watches the health of each
     * server, and uses only those that are serving.
     *
     * @return this builder
     */
    public Builder withoutHealthWatch() {
      this.healthWatch = false;
      return this;
    }

    Builder telemetry(Telemetry telemetry) {
      this.telemetry = telemetry;
      return this;
    }

    /**
     * Builds the client. It connects at the first call.
     *
     * @return the client
     * @throws IllegalArgumentException if an option is not valid, or a TLS file cannot be used
     */
    public PdpClient build() {
      if (plaintext && tls.isPresent()) {
        throw new IllegalArgumentException("tls and plaintext: set only one of them");
      }
      return new PdpClient(this);
    }

    private static void require(boolean condition, String problem) {
      if (!condition) {
        throw new IllegalArgumentException(problem);
      }
    }
  }
}
