package dev.pdp.client;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Deadline;
import io.grpc.ForwardingClientCall;
import io.grpc.ForwardingClientCallListener.SimpleForwardingClientCallListener;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.util.function.Supplier;

/**
 * A call that ends with the gRPC context of its caller, but leaves nothing of the channel in it.
 *
 * <p>The thread that starts a call may also do what waits in the channel, for instance start to
 * watch the health of a server. If it did so in the context of the caller, the watch would end
 * with the caller, and the channel would take the server for a failed one.
 */
final class DetachedCall<Q, R> extends ForwardingClientCall<Q, R> {
  private final Context caller;
  private final Context own;
  private final ClientCall<Q, R> call;
  private final Context.CancellationListener cancelled;
  private volatile boolean closed;

  /**
   * Creates a call, with the earlier one of its deadline and that of the caller's context.
   *
   * @param channel makes the call
   */
  DetachedCall(Channel channel, MethodDescriptor<Q, R> method, CallOptions options) {
    caller = Context.current();
    own = caller.fork();
    Deadline outer = caller.getDeadline();
    Deadline inner = options.getDeadline();
    CallOptions bounded =
        outer == null
            ? options
            : options.withDeadline(inner == null ? outer : inner.minimum(outer));
    call = run(() -> channel.newCall(method, bounded));
    cancelled = this::cancelWith;
  }

  /** Runs a step in a context that is never cancelled. */
  private <T> T run(Supplier<T> step) {
    Context previous = own.attach();
    try {
      return step.get();
    } finally {
      own.detach(previous);
    }
  }

  private void run(Runnable step) {
    run(
        () -> {
          step.run();
          return null;
        });
  }

  private void cancelWith(Context context) {
    Status status = Contexts.statusFromCancelled(context);
    cancel(status.getDescription(), context.cancellationCause());
  }

  @Override
  protected ClientCall<Q, R> delegate() {
    return call;
  }

  @Override
  public void start(Listener<R> responses, Metadata headers) {
    Listener<R> last =
        new SimpleForwardingClientCallListener<>(responses) {
          @Override
          public void onClose(Status status, Metadata trailers) {
            closed = true;
            caller.removeListener(cancelled);
            super.onClose(status, trailers);
          }
        };
    run(() -> super.start(last, headers));
    caller.addListener(cancelled, Runnable::run);
    if (closed) { // It was closed before it was listened to.
      caller.removeListener(cancelled);
    }
  }

  @Override
  public void request(int messages) {
    run(() -> super.request(messages));
  }

  @Override
  public void sendMessage(Q message) {
    run(() -> super.sendMessage(message));
  }

  @Override
  public void halfClose() {
    run(super::halfClose);
  }

  @Override
  public void cancel(String message, Throwable cause) {
    run(() -> super.cancel(message, cause));
  }
}
