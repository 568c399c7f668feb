package dev.pdp.client;

import io.grpc.Context;
import io.grpc.ForwardingServerCall.SimpleForwardingServerCall;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import io.grpc.SynchronizationContext;

/**
 * Asks for a decision before a message of a caller reaches the service. Messages are decided on in
 * order.
 *
 * <p>A call that is not permitted ends with {@code PERMISSION_DENIED}, with {@code
 * RESOURCE_EXHAUSTED} if it can pass later, and with {@code UNAVAILABLE} if there is no decision.
 * The trailers {@code pdp-reason} and {@code pdp-decision-id} say why.
 */
public final class PdpServerInterceptor implements ServerInterceptor {
  private final PdpClient client;
  private final GrpcGuard guard;

  /**
   * Creates an interceptor.
   *
   * @param client decides
   * @param guard says what to decide on
   */
  public PdpServerInterceptor(PdpClient client, GrpcGuard guard) {
    this.client = client;
    this.guard = guard;
  }

  @Override
  public <Q, R> ServerCall.Listener<Q> interceptCall(
      ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
    Closeable<Q, R> closeable = new Closeable<>(call);
    Serial<Q> service = new Serial<>(next.startCall(closeable, headers), closeable);
    GrpcDecisions decisions =
        new GrpcDecisions(
            client,
            guard,
            call.getMethodDescriptor(),
            (status, trailers) -> {
              closeable.refuse(status, trailers);
              service.onCancel();
            });
    return new ServerCall.Listener<>() {
      @Override
      public void onMessage(Q message) {
        decisions.decide(message, headers, permitted -> service.onMessage(cast(permitted)));
      }

      @Override
      public void onHalfClose() {
        decisions.then(service::onHalfClose);
      }

      @Override
      public void onCancel() {
        decisions.end();
        if (!closeable.isRefused()) {
          service.onCancel();
        }
      }

      @Override
      public void onComplete() {
        decisions.end();
        if (!closeable.isRefused()) {
          service.onComplete();
        }
      }

      @Override
      public void onReady() {
        service.onReady();
      }
    };
  }

  @SuppressWarnings("unchecked")
  private static <Q> Q cast(Object message) {
    return (Q) message;
  }

  /**
   * A service whose methods run one after the other, in the context of the call. Decisions come in
   * other threads than the events of the call.
   */
  private static final class Serial<Q> extends ServerCall.Listener<Q> {
    private final Context context = Context.current();
    private final ServerCall.Listener<Q> service;
    private final SynchronizationContext events;

    Serial(ServerCall.Listener<Q> service, Closeable<Q, ?> call) {
      this.service = service;
      this.events =
          new SynchronizationContext(
              (thread, error) ->
                  call.refuse(Status.UNKNOWN.withCause(error), new Metadata()));
    }

    private void run(Runnable event) {
      events.execute(() -> context.run(event));
    }

    @Override
    public void onMessage(Q message) {
      run(() -> service.onMessage(message));
    }

    @Override
    public void onHalfClose() {
      run(service::onHalfClose);
    }

    @Override
    public void onCancel() {
      run(service::onCancel);
    }

    @Override
    public void onComplete() {
      run(service::onComplete);
    }

    @Override
    public void onReady() {
      run(service::onReady);
    }
  }

  /** A call that is closed once, by the service or by a refusal. */
  private static final class Closeable<Q, R> extends SimpleForwardingServerCall<Q, R> {
    private boolean closed;
    private boolean refused;

    Closeable(ServerCall<Q, R> call) {
      super(call);
    }

    synchronized void refuse(Status status, Metadata trailers) {
      if (!closed) {
        closed = true;
        refused = true;
        delegate().close(status, trailers);
      }
    }

    synchronized boolean isRefused() {
      return refused;
    }

    @Override
    public synchronized boolean isCancelled() {
      return refused || delegate().isCancelled();
    }

    @Override
    public synchronized void sendHeaders(Metadata headers) {
      if (!refused) {
        delegate().sendHeaders(headers);
      }
    }

    @Override
    public synchronized void sendMessage(R message) {
      if (!refused) {
        delegate().sendMessage(message);
      }
    }

    @Override
    public synchronized void close(Status status, Metadata trailers) {
      if (!closed) {
        closed = true;
        delegate().close(status, trailers);
      }
    }
  }
}
