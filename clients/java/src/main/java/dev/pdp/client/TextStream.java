package dev.pdp.client;

import dev.pdp.v1.DecideRequest;
import dev.pdp.v1.DecideServiceGrpc;
import dev.pdp.v1.DecideStreamRequest;
import dev.pdp.v1.DecideStreamResponse;
import dev.pdp.v1.StreamChunk;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;

/**
 * A text that is decided on as it arrives. Send on what {@link #feed} and {@link #finish} return,
 * and nothing else: it is redacted already, and no value that a policy can find is split.
 *
 * <p>If the text is stopped, the methods throw, and nothing more may be sent on. A stream is used
 * by one thread at a time.
 */
public final class TextStream implements AutoCloseable {
  private static final int MAX_PENDING = 64;

  private final Calls calls;
  private final DecideRequest request;
  private final Duration timeout;
  private final boolean throwIfUnavailable;
  private final Telemetry.Observed observed;
  private final ClientCall<DecideStreamRequest, DecideStreamResponse> call;

  // Guarded by this.
  private final Deque<CompletableFuture<DecideStreamResponse>> pending = new ArrayDeque<>();
  private boolean answered;
  private boolean ended;
  private PdpException failure;

  // Used by the thread that feeds.
  private boolean started;
  private boolean finished;
  private String half = "";
  private volatile RuntimeException stop;
  private volatile Decision decision;

  private TextStream(
      Calls calls,
      DecideRequest request,
      Duration timeout,
      boolean throwIfUnavailable,
      Telemetry.Observed observed) {
    this.calls = calls;
    this.request = request;
    this.timeout = timeout;
    this.throwIfUnavailable = throwIfUnavailable;
    this.observed = observed;
    this.call = calls.open(DecideServiceGrpc.getDecideStreamMethod(), CallOptions.DEFAULT);
  }

  static TextStream open(
      Calls calls,
      DecideRequest request,
      Metadata metadata,
      Duration timeout,
      boolean throwIfUnavailable,
      Telemetry.Observed observed) {
    TextStream stream = new TextStream(calls, request, timeout, throwIfUnavailable, observed);
    if (calls.isClosed()) {
      stream.end(Calls.closedError(), false);
    } else if (!calls.startable()) {
      stream.end(Calls.circuitOpen(), false);
    } else {
      stream.call.start(stream.new Listener(), metadata);
      stream.call.request(MAX_PENDING);
    }
    return stream;
  }

  /**
   * Sends the next chunk.
   *
   * @param chunk the chunk, cut anywhere
   * @return what may be sent on now; empty while a value may be incomplete
   * @throws DeniedException if the text is stopped, or if there is no decision
   * @throws HeldException if the text waits for a person
   * @throws PdpException if the server refuses the call
   * @throws IllegalStateException if the stream is finished
   */
  public String feed(String chunk) {
    return await(feedAsync(chunk));
  }

  /**
   * Ends the text.
   *
   * @return the rest, which may be sent on
   * @throws DeniedException if the text is stopped, or if there is no decision
   * @throws HeldException if the text waits for a person
   * @throws PdpException if the server refuses the call
   * @throws IllegalStateException if the stream is finished
   */
  public String finish() {
    return await(finishAsync());
  }

  /**
   * Sends the next chunk.
   *
   * @param chunk the chunk, cut anywhere
   * @return what may be sent on now; it fails as {@link #feed} does
   * @throws IllegalStateException if the stream is finished, or if 64 chunks wait already
   */
  public CompletableFuture<String> feedAsync(String chunk) {
    String text = half + chunk;
    int length = text.length();
    // A chunk may end in the middle of a code point; the rest of it comes with the next chunk.
    int cut = length > 0 && Character.isHighSurrogate(text.charAt(length - 1)) ? 1 : 0;
    String whole = DecisionRequest.unicode(text.substring(0, length - cut));
    CompletableFuture<String> released = send(whole, false);
    half = text.substring(length - cut);
    return released;
  }

  /**
   * Ends the text.
   *
   * @return the rest, which may be sent on; it fails as {@link #finish} does
   * @throws IllegalStateException if the stream is finished, or if 64 chunks wait already
   */
  public CompletableFuture<String> finishAsync() {
    return send(DecisionRequest.unicode(half), true);
  }

  /**
   * Returns the last decision on the text so far, for instance for its warnings.
   *
   * @return the decision; empty if there is none yet
   */
  public Optional<Decision> decision() {
    return Optional.ofNullable(decision);
  }

  /** Ends the stream. If it is not finished, what was not released is lost. */
  @Override
  public void close() {
    end(cancelled("the stream is closed"), true);
    call.cancel("the stream is closed", null);
  }

  private CompletableFuture<String> send(String text, boolean last) {
    if (stop != null) {
      return CompletableFuture.failedFuture(stop);
    }
    if (finished) {
      throw new IllegalStateException("the stream is finished");
    }
    DecideStreamRequest.Builder message = DecideStreamRequest.newBuilder();
    if (!started) {
      message.setRequest(request);
    }
    message.setChunk(StreamChunk.newBuilder().setText(text).setLast(last));
    CompletableFuture<DecideStreamResponse> answer = new CompletableFuture<>();
    synchronized (this) {
      if (pending.size() >= MAX_PENDING) {
        throw new IllegalStateException("too many chunks wait for the server");
      }
      if (ended) {
        PdpException error = failure == null ? cancelled("the stream has ended") : failure;
        return CompletableFuture.failedFuture(stopBy(error));
      }
      pending.add(answer);
    }
    started = true;
    finished = last;
    expireLater(answer);
    try {
      call.sendMessage(message.build());
      if (last) {
        call.halfClose();
      }
    } catch (IllegalStateException ending) {
      // The listener reports why the call has ended.
      expire(answer, cancelled("the call has ended"));
    }
    return answer.handle(this::released);
  }

  private void expireLater(CompletableFuture<DecideStreamResponse> answer) {
    PdpException late =
        new PdpException(
            Status.Code.DEADLINE_EXCEEDED,
            Status.Code.DEADLINE_EXCEEDED.name(),
            "there was no answer to the chunk within the timeout",
            List.of(),
            null);
    try {
      var timer =
          calls
              .connection()
              .scheduler()
              .schedule(() -> expire(answer, late), timeout.toNanos(), TimeUnit.NANOSECONDS);
      answer.whenComplete((response, error) -> timer.cancel(false));
    } catch (RejectedExecutionException closing) {
      expire(answer, Calls.closedError());
    }
  }

  private void expire(CompletableFuture<DecideStreamResponse> answer, PdpException error) {
    if (!answer.isDone()) {
      end(error, false);
      call.cancel(error.getMessage(), error);
    }
  }

  private String released(DecideStreamResponse response, Throwable error) {
    if (error != null) {
      throw stopBy(PdpException.of(error));
    }
    if (stop != null) {
      throw stop; // An earlier chunk has stopped the text.
    }
    try {
      Decision latest = Decision.of(response.getResponse());
      decision = latest;
      Enforcement.checkStreamed(latest);
      if (!latest.requestId().equals(request.getRequestId())) {
        throw new MalformedAnswerException("the decision is for another request");
      }
    } catch (PdpException malformed) {
      call.cancel("the answer is malformed", malformed);
      throw stopBy(malformed);
    } catch (NotPermittedException refusal) {
      stop = refusal;
      end(cancelled("the text is stopped"), true);
      call.cancel("the text is stopped", null);
      throw refusal;
    }
    return response.getRelease().getReleasedText();
  }

  private RuntimeException stopBy(PdpException error) {
    if (stop == null) {
      if (error.unavailable() && !throwIfUnavailable) {
        Decision denial = Decision.unavailable(request.getRequestId());
        decision = denial;
        stop = new DeniedException(denial, denial.message());
      } else {
        stop = error;
      }
    }
    return stop;
  }

  /**
   * Ends what waits for answers.
   *
   * @param error why; null if the server has ended the stream
   * @param own whether this side ends the stream, so that it is not an error
   */
  private void end(PdpException error, boolean own) {
    List<CompletableFuture<DecideStreamResponse>> rest;
    boolean first;
    synchronized (this) {
      first = !ended;
      if (first) {
        ended = true;
        failure = error;
      }
      rest = List.copyOf(pending);
      pending.clear();
    }
    PdpException shown = error == null ? cancelled("the server has ended the stream") : error;
    rest.forEach(each -> each.completeExceptionally(shown));
    if (first) {
      observed.end(own ? null : error);
      if (error == null || !error.reason().equals("CIRCUIT_OPEN")) {
        calls.report(own ? null : error, own && !answered);
      }
    }
  }

  private static PdpException cancelled(String message) {
    return new PdpException(Status.Code.CANCELLED, "CANCELLED", message, List.of(), null);
  }

  private String await(CompletableFuture<String> released) {
    try {
      return released.get();
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      close();
      throw stopBy(cancelled("the caller stopped to wait"));
    } catch (ExecutionException error) {
      if (error.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      throw PdpException.of(error.getCause());
    }
  }

  private final class Listener extends ClientCall.Listener<DecideStreamResponse> {
    @Override
    public void onMessage(DecideStreamResponse message) {
      CompletableFuture<DecideStreamResponse> first;
      synchronized (TextStream.this) {
        first = pending.poll();
        answered = true;
      }
      if (first == null) {
        call.cancel("the server answers what was not sent", null);
        return;
      }
      call.request(1);
      first.complete(message);
    }

    @Override
    public void onClose(Status status, Metadata trailers) {
      end(
          status.isOk() ? null : PdpException.of(new StatusRuntimeException(status, trailers)),
          false);
    }
  }
}
