package dev.pdp.client;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ForwardingClientCall.SimpleForwardingClientCall;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.SynchronizationContext;
import java.util.concurrent.Executor;

/**
 * Asks for a decision before a message leaves. Messages are decided on in order.
 *
 * <p>If a client sends one message only, the call starts when this is permitted. Calls that stream
 * messages start at once, and each message waits for its decision.
 *
 * <p>A call that is not permitted ends as {@link PdpServerInterceptor} says. Do not use this
 * interceptor on the channel of the {@link PdpClient} that decides.
 */
public final class PdpClientInterceptor implements ClientInterceptor {
  private final PdpClient client;
  private final GrpcGuard guard;

  /**
   * Creates an interceptor.
   *
   * @param client decides
   * @param guard says what to decide on
   */
  public PdpClientInterceptor(PdpClient client, GrpcGuard guard) {
    this.client = client;
    this.guard = guard;
  }

  @Override
  public <Q, R> ClientCall<Q, R> interceptCall(
      MethodDescriptor<Q, R> method, CallOptions options, Channel next) {
    Executor executor = options.getExecutor() == null ? Runnable::run : options.getExecutor();
    return new Guarded<>(next.newCall(method, options), method, executor);
  }

  /** A call whose messages wait for decisions. */
  private final class Guarded<Q, R> extends SimpleForwardingClientCall<Q, R> {
    private final Executor executor;
    private final GrpcDecisions decisions;
    private final SynchronizationContext events =
        new SynchronizationContext(
            (thread, error) -> delegate().cancel("the caller has failed", error));

    // Guarded by this.
    private Once listener;
    private Metadata headers = new Metadata();
    private boolean started;
    private boolean closed;
    private Status refusal;
    private Metadata refusalTrailers;
    private int requested;
    private final boolean sendsOne;

    Guarded(ClientCall<Q, R> call, MethodDescriptor<Q, R> method, Executor executor) {
      super(call);
      this.sendsOne = method.getType().clientSendsOneMessage();
      this.executor = executor;
      this.decisions = new GrpcDecisions(client, guard, method, this::refuse);
    }

    @Override
    public void start(Listener<R> responses, Metadata metadata) {
      synchronized (this) {
        listener = new Once(responses);
        headers = metadata;
      }
      if (!sendsOne) {
        startNow();
      }
    }

    /** Starts the call; returns false if it has ended already. */
    private boolean startNow() {
      synchronized (this) {
        if (closed) {
          return false;
        }
        if (!started) {
          started = true;
          delegate().start(listener, headers);
          if (requested > 0) {
            delegate().request(requested);
          }
        }
      }
      return true;
    }

    @Override
    public void request(int messages) {
      synchronized (this) {
        if (!started) {
          requested += messages;
          return;
        }
      }
      delegate().request(messages);
    }

    @Override
    public void sendMessage(Q message) {
      decisions.decide(
          message,
          headers,
          permitted -> {
            if (startNow()) {
              delegate().sendMessage(cast(permitted));
            }
          });
    }

    @Override
    public void halfClose() {
      decisions.then(
          () -> {
            if (startNow()) {
              delegate().halfClose();
            }
          });
    }

    @Override
    public void setMessageCompression(boolean enabled) {
      decisions.then(
          () -> {
            if (startNow()) {
              delegate().setMessageCompression(enabled);
            }
          });
    }

    @Override
    public boolean isReady() {
      synchronized (this) {
        if (!started) {
          return true;
        }
      }
      return delegate().isReady();
    }

    @Override
    public void cancel(String message, Throwable cause) {
      decisions.end();
      boolean begun;
      synchronized (this) {
        begun = started;
      }
      if (!begun) {
        close(Status.CANCELLED.withDescription(message).withCause(cause), new Metadata());
      }
      delegate().cancel(message, cause);
    }

    private void refuse(Status status, Metadata trailers) {
      synchronized (this) {
        refusal = status;
        refusalTrailers = trailers;
      }
      close(status, trailers);
      delegate().cancel("the message is not permitted", null);
    }

    /** Reports the end of the call to the caller. */
    private void close(Status status, Metadata trailers) {
      Once responses;
      synchronized (this) {
        responses = listener;
        if (responses == null) {
          closed = true;
          return;
        }
      }
      // A blocking caller waits for work in this executor.
      executor.execute(() -> responses.onClose(status, trailers));
    }

    /** Reports events one after the other, and the end once: a refusal, or the server's. */
    private final class Once extends Listener<R> {
      private final Listener<R> responses;
      private boolean over;

      Once(Listener<R> responses) {
        this.responses = responses;
      }

      private void report(Runnable event) {
        events.execute(
            () -> {
              if (!over) {
                event.run();
              }
            });
      }

      @Override
      public void onHeaders(Metadata metadata) {
        report(() -> responses.onHeaders(metadata));
      }

      @Override
      public void onMessage(R message) {
        report(() -> responses.onMessage(message));
      }

      @Override
      public void onReady() {
        report(responses::onReady);
      }

      @Override
      public void onClose(Status status, Metadata trailers) {
        decisions.end();
        Status end;
        Metadata endTrailers;
        synchronized (Guarded.this) {
          closed = true;
          end = refusal == null ? status : refusal;
          endTrailers = refusal == null ? trailers : refusalTrailers;
        }
        report(
            () -> {
              over = true;
              responses.onClose(end, endTrailers);
            });
      }
    }
  }

  @SuppressWarnings("unchecked")
  private static <Q> Q cast(Object message) {
    return (Q) message;
  }
}
