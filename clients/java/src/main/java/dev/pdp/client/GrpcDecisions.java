package dev.pdp.client;

import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.util.ArrayDeque;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.function.BiConsumer;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/** Decides on the messages of one gRPC call in order. What follows a message waits for it. */
final class GrpcDecisions {
  private static final Metadata.Key<String> REASON =
      Metadata.Key.of("pdp-reason", Metadata.ASCII_STRING_MARSHALLER);
  private static final Metadata.Key<String> DECISION_ID =
      Metadata.Key.of("pdp-decision-id", Metadata.ASCII_STRING_MARSHALLER);

  private final PdpClient client;
  private final GrpcGuard guard;
  private final MethodDescriptor<?, ?> method;
  private final BiConsumer<Status, Metadata> refuse;

  // Guarded by this.
  private final Queue<BooleanSupplier> waiting = new ArrayDeque<>();
  private boolean busy;
  private boolean ended;
  private CompletableFuture<Decision> asked;

  /**
   * Creates the decisions of a call.
   *
   * @param refuse ends the call, with the status and trailers for the caller
   */
  GrpcDecisions(
      PdpClient client,
      GrpcGuard guard,
      MethodDescriptor<?, ?> method,
      BiConsumer<Status, Metadata> refuse) {
    this.client = client;
    this.guard = guard;
    this.method = method;
    this.refuse = refuse;
  }

  /** Passes a message on when it is permitted; refuses the call if it is not. */
  void decide(Object message, Metadata headers, Consumer<Object> passOn) {
    submit(() -> ask(message, headers, passOn));
  }

  /** Runs a step of the call after the messages before it; never if the call is refused. */
  void then(Runnable step) {
    submit(
        () -> {
          step.run();
          return true;
        });
  }

  /** Ends the decisions: nothing that waits goes on. */
  void end() {
    CompletableFuture<Decision> open;
    synchronized (this) {
      ended = true;
      waiting.clear();
      open = asked;
    }
    if (open != null) {
      open.cancel(false);
    }
  }

  private void submit(BooleanSupplier step) {
    synchronized (this) {
      if (ended) {
        return;
      }
      waiting.add(step);
      if (busy) {
        return;
      }
      busy = true;
    }
    runWaiting();
  }

  /** Runs steps until one has to wait for a decision, which then runs the rest. */
  private void runWaiting() {
    boolean done = true;
    while (done) {
      BooleanSupplier step;
      synchronized (this) {
        step = ended ? null : waiting.poll();
        busy = step != null;
      }
      if (step == null) {
        return;
      }
      try {
        done = step.getAsBoolean();
      } catch (RuntimeException | Error error) {
        end();
        throw error;
      }
    }
  }

  /** Asks for a decision on a message; returns whether the message has gone on already. */
  private boolean ask(Object message, Metadata headers, Consumer<Object> passOn) {
    Optional<DecisionRequest> request;
    CompletableFuture<Decision> decision;
    try {
      request = guard.request(method, headers, message);
      decision = request.map(client::decideAsync).orElse(null);
    } catch (RuntimeException error) {
      refuse(error);
      return true;
    }
    if (decision == null) {
      passOn.accept(message);
      return true;
    }
    synchronized (this) {
      asked = decision;
      if (ended) {
        decision.cancel(false);
      }
    }
    decision.whenComplete(
        (answer, error) -> {
          synchronized (this) {
            asked = null;
            if (ended) {
              return;
            }
          }
          Object permitted;
          try {
            if (error != null) {
              throw PdpException.of(error);
            }
            Permit permit = Enforcement.enforce(request.get(), answer);
            permitted = guard.apply(message, request.get(), answer, permit);
          } catch (RuntimeException refusal) {
            refuse(refusal);
            return;
          }
          passOn.accept(permitted);
          runWaiting();
        });
    return false;
  }

  private void refuse(RuntimeException error) {
    end();
    Metadata trailers = new Metadata();
    if (!(error instanceof NotPermittedException refusal)) {
      Status status =
          error instanceof PdpException failure && failure.unavailable()
              ? Status.UNAVAILABLE
              : Status.INTERNAL;
      refuse.accept(
          status.withDescription("The request could not be checked.").withCause(error), trailers);
      return;
    }
    Decision decision = refusal.decision();
    put(trailers, REASON, decision.reasonCode());
    put(trailers, DECISION_ID, decision.decisionId());
    Status status = Status.PERMISSION_DENIED;
    if (decision.unavailable()) {
      status = Status.UNAVAILABLE;
    } else if (decision.retryAfter().isPresent()) {
      status = Status.RESOURCE_EXHAUSTED;
    }
    refuse.accept(status.withDescription(refusal.reason()), trailers);
  }

  private static void put(Metadata trailers, Metadata.Key<String> key, String value) {
    if (!value.isEmpty()) {
      trailers.put(key, value);
    }
  }
}
