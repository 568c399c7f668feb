package dev.pdp.client;

import io.grpc.CallCredentials;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ClientStreamTracer;
import io.grpc.Context;
import io.grpc.Deadline;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;

/** Makes calls: with retries within the deadline, a circuit breaker and a bound on waiting calls. */
final class Calls implements AutoCloseable {
  private static final int MAX_ATTEMPTS = 5;
  private static final long FIRST_BACKOFF_MS = 20;
  private static final long MAX_BACKOFF_MS = 200;

  /** The codes that mean that no server answered. */
  private static final Set<Status.Code> SILENT =
      EnumSet.of(Status.Code.UNAVAILABLE, Status.Code.DEADLINE_EXCEEDED);

  private final Connection connection;
  private final Semaphore waiting;
  private final CircuitBreaker breaker;
  private final RetryBudget budget = new RetryBudget();
  private final CallCredentials credentials;
  private final Set<CompletableFuture<?>> active = ConcurrentHashMap.newKeySet();
  private volatile boolean closed;

  Calls(
      Connection connection, Credentials credentials, CircuitBreaker breaker, int maxWaitingCalls) {
    this.connection = connection;
    this.breaker = breaker;
    this.waiting = new Semaphore(maxWaitingCalls);
    this.credentials = new Attached(credentials);
  }

  /**
   * Makes a call with one answer.
   *
   * @param repeatable whether a server may get the request twice
   * @return the answer; it fails with a {@code PdpException}. Cancel it to cancel the call
   */
  <Q, R> CompletableFuture<R> unary(
      MethodDescriptor<Q, R> method,
      Q request,
      Metadata metadata,
      Deadline deadline,
      boolean repeatable) {
    if (closed) {
      return CompletableFuture.failedFuture(closedError());
    }
    if (!waiting.tryAcquire()) {
      return CompletableFuture.failedFuture(
          unavailable("TOO_MANY_CALLS", "too many calls wait for the server"));
    }
    if (!startable()) {
      waiting.release();
      return CompletableFuture.failedFuture(circuitOpen());
    }
    budget.add();
    CompletableFuture<R> answer = new CompletableFuture<>();
    CompletableFuture<R> result = new CompletableFuture<>();
    active.add(answer);
    answer.whenComplete(
        (value, error) -> { // before the caller can know that the call has ended
          active.remove(answer);
          waiting.release();
          report(error, answer.isCancelled());
          if (error == null) {
            result.complete(value);
          } else {
            result.completeExceptionally(error);
          }
        });
    result.whenComplete(
        (value, error) -> {
          if (result.isCancelled()) {
            answer.cancel(false);
          }
        });
    if (closed) { // `close` may have missed this call.
      answer.completeExceptionally(closedError());
      return result;
    }
    new Attempts<>(method, request, metadata, deadline, repeatable, answer).start();
    return result;
  }

  /** Returns whether a call may start; the breaker expects a report then. */
  boolean startable() {
    if (!breaker.tryStart()) {
      return false;
    }
    if (breaker.isFailing()) {
      connection.reconnect();
    }
    return true;
  }

  /** Tells the breaker how a call ended. */
  void report(Throwable error, boolean cancelled) {
    if (cancelled) {
      breaker.skip();
    } else if (error != null && SILENT.contains(PdpException.of(error).code())) {
      breaker.fail();
    } else {
      breaker.succeed();
    }
  }

  /** Makes a call, which ends with the current gRPC context; see {@code ClientCall}. */
  <Q, R> ClientCall<Q, R> open(MethodDescriptor<Q, R> method, CallOptions options) {
    return new DetachedCall<>(
        connection.channel(),
        method,
        options.withCallCredentials(credentials).withExecutor(connection.executor()));
  }

  Connection connection() {
    return connection;
  }

  static PdpException circuitOpen() {
    return unavailable("CIRCUIT_OPEN", "the last calls failed; the next one is tried soon");
  }

  static PdpException closedError() {
    return unavailable("CLOSED", "the client is closed");
  }

  private static PdpException unavailable(String reason, String message) {
    return new PdpException(Status.Code.UNAVAILABLE, reason, message, List.of(), null);
  }

  boolean isClosed() {
    return closed;
  }

  @Override
  public void close() {
    closed = true;
    connection.channel().shutdownNow();
    for (CompletableFuture<?> each : active) {
      each.completeExceptionally(closedError());
    }
    connection.close();
  }

  /** The attempts of one call. */
  private final class Attempts<Q, R> {
    private final MethodDescriptor<Q, R> method;
    private final Q request;
    private final Metadata metadata;
    private final Deadline deadline;
    private final boolean repeatable;
    private final CompletableFuture<R> result;
    private final Context context = Context.current();
    private final AtomicReference<ClientCall<Q, R>> current = new AtomicReference<>();
    private volatile boolean sent;
    private int count;

    Attempts(
        MethodDescriptor<Q, R> method,
        Q request,
        Metadata metadata,
        Deadline deadline,
        boolean repeatable,
        CompletableFuture<R> result) {
      this.method = method;
      this.request = request;
      this.metadata = metadata;
      this.deadline = deadline;
      this.repeatable = repeatable;
      this.result = result;
    }

    void start() {
      result.whenComplete(
          (answer, error) -> {
            ClientCall<Q, R> call = current.get();
            if (result.isCancelled() && call != null) {
              call.cancel("the caller has cancelled", null);
            }
          });
      context.run(this::attempt);
    }

    private void attempt() {
      if (result.isDone()) {
        return;
      }
      count++;
      CallOptions options =
          CallOptions.DEFAULT
              .withDeadline(deadline)
              .withStreamTracerFactory(
                  new ClientStreamTracer.Factory() {
                    @Override
                    public ClientStreamTracer newClientStreamTracer(
                        ClientStreamTracer.StreamInfo info, Metadata headers) {
                      return new ClientStreamTracer() {
                        @Override
                        public void outboundHeaders() {
                          sent = true;
                        }
                      };
                    }
                  });
      ClientCall<Q, R> call = open(method, options);
      current.set(call);
      Metadata headers = new Metadata();
      headers.merge(metadata);
      try {
        call.start(new Listener(), headers);
        call.request(2);
        call.sendMessage(request);
        call.halfClose();
      } catch (RuntimeException error) {
        call.cancel("the request cannot be sent", error);
        end(PdpException.of(error));
      }
      if (result.isCancelled()) {
        call.cancel("the caller has cancelled", null);
      }
    }

    private void end(PdpException error) {
      long delayMs = backoffMs();
      if (error.code() != Status.Code.UNAVAILABLE
          || closed
          || count >= MAX_ATTEMPTS
          || (sent && !repeatable)
          || deadline.timeRemaining(TimeUnit.MILLISECONDS) <= delayMs
          || !budget.tryTake()) {
        result.completeExceptionally(error);
        return;
      }
      try {
        connection
            .scheduler()
            .schedule(
                () -> {
                  connection.reconnect();
                  context.run(this::attempt);
                },
                delayMs,
                TimeUnit.MILLISECONDS);
      } catch (RejectedExecutionException closing) {
        result.completeExceptionally(error);
      }
    }

    private long backoffMs() {
      long limit = Math.min(FIRST_BACKOFF_MS << (count - 1), MAX_BACKOFF_MS);
      return ThreadLocalRandom.current().nextLong(limit / 2, limit + 1);
    }

    private final class Listener extends ClientCall.Listener<R> {
      private R answer;
      private int answers;

      @Override
      public void onMessage(R message) {
        answer = message;
        answers++;
      }

      @Override
      public void onClose(Status status, Metadata trailers) {
        if (!status.isOk()) {
          end(PdpException.of(new StatusRuntimeException(status, trailers)));
        } else if (answers != 1) {
          end(new MalformedAnswerException("the server sent " + answers + " answers"));
        } else {
          result.complete(answer);
        }
      }
    }
  }

  /** Adds the credential to each attempt. */
  private static final class Attached extends CallCredentials {
    private final Credentials credentials;

    Attached(Credentials credentials) {
      this.credentials = credentials;
    }

    @Override
    public void applyRequestMetadata(RequestInfo info, Executor executor, MetadataApplier applier) {
      executor.execute(
          () -> {
            Metadata headers = new Metadata();
            try {
              credentials.addTo(headers);
            } catch (RuntimeException error) {
              applier.fail(
                  Status.UNAVAILABLE
                      .withDescription("the function that returns the token has failed")
                      .withCause(error));
              return;
            }
            applier.apply(headers);
          });
    }
  }
}
