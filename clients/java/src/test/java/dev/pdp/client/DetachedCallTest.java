package dev.pdp.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;

import com.google.protobuf.StringValue;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.Context;
import io.grpc.Deadline;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.Status;
import io.grpc.protobuf.ProtoUtils;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** What a channel does in the thread of a caller outlives the caller; the call does not. */
class DetachedCallTest {
  private static final MethodDescriptor<StringValue, StringValue> METHOD =
      MethodDescriptor.<StringValue, StringValue>newBuilder()
          .setType(MethodType.UNARY)
          .setFullMethodName("test.Service/Echo")
          .setRequestMarshaller(ProtoUtils.marshaller(StringValue.getDefaultInstance()))
          .setResponseMarshaller(ProtoUtils.marshaller(StringValue.getDefaultInstance()))
          .build();
  private static final Context.Key<String> USER = Context.key("user");

  private final RecordingChannel channel = new RecordingChannel();

  /** Notes the contexts in which a channel is used. */
  private static final class RecordingChannel extends Channel {
    final List<Context> contexts = new ArrayList<>();
    final List<Throwable> cancellations = new ArrayList<>();
    CallOptions options;
    Runnable close;

    @Override
    public <Q, R> ClientCall<Q, R> newCall(MethodDescriptor<Q, R> method, CallOptions given) {
      contexts.add(Context.current());
      options = given;
      return new ClientCall<>() {
        @Override
        public void start(Listener<R> responses, Metadata headers) {
          contexts.add(Context.current());
          close = () -> responses.onClose(Status.OK, new Metadata());
        }

        @Override
        public void request(int messages) {
          contexts.add(Context.current());
        }

        @Override
        public void cancel(String message, Throwable cause) {
          cancellations.add(cause);
        }

        @Override
        public void halfClose() {
          contexts.add(Context.current());
        }

        @Override
        public void sendMessage(Q message) {
          contexts.add(Context.current());
        }
      };
    }

    @Override
    public String authority() {
      return "test";
    }
  }

  private void call(CallOptions options) {
    ClientCall<StringValue, StringValue> call = new DetachedCall<>(channel, METHOD, options);
    call.start(new ClientCall.Listener<>() {}, new Metadata());
    call.request(2);
    call.sendMessage(StringValue.getDefaultInstance());
    call.halfClose();
  }

  @Test
  void nothingThatTheChannelStartsIsCancelledWithTheCaller() {
    Context.CancellableContext caller =
        Context.current().withValue(USER, "alice").withCancellation();
    caller.run(() -> call(CallOptions.DEFAULT));
    caller.cancel(null);
    assertEquals(5, channel.contexts.size());
    for (Context each : channel.contexts) {
      assertFalse(each.isCancelled());
      assertEquals("alice", USER.get(each));
    }
  }

  @Test
  void theCallIsCancelledWithTheCaller() {
    Context.CancellableContext caller = Context.current().withCancellation();
    caller.run(() -> call(CallOptions.DEFAULT));
    assertEquals(List.of(), channel.cancellations);
    Throwable cause = new CancellationException("the caller has gone");
    caller.cancel(cause);
    assertEquals(1, channel.cancellations.size());
    assertSame(cause, channel.cancellations.get(0));
  }

  @Test
  void aCallerThatIsCancelledAlreadyCancelsTheCall() {
    Context.CancellableContext caller = Context.current().withCancellation();
    caller.cancel(null);
    caller.run(() -> call(CallOptions.DEFAULT));
    assertEquals(1, channel.cancellations.size());
  }

  @Test
  void aCallThatHasEndedIsNotCancelled() {
    Context.CancellableContext caller = Context.current().withCancellation();
    caller.run(() -> call(CallOptions.DEFAULT));
    channel.close.run();
    caller.cancel(null);
    assertEquals(List.of(), channel.cancellations);
  }

  @Test
  void theEarlierDeadlineCounts() {
    Deadline soon = Deadline.after(1, TimeUnit.HOURS);
    Deadline late = Deadline.after(2, TimeUnit.HOURS);
    ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor();
    try (Context.CancellableContext caller = Context.current().withDeadline(soon, timer)) {
      caller.run(() -> call(CallOptions.DEFAULT.withDeadline(late)));
      assertEquals(soon, channel.options.getDeadline());
      caller.run(() -> call(CallOptions.DEFAULT));
      assertEquals(soon, channel.options.getDeadline());
      Deadline now = Deadline.after(1, TimeUnit.SECONDS);
      caller.run(() -> call(CallOptions.DEFAULT.withDeadline(now)));
      assertEquals(now, channel.options.getDeadline());
    } finally {
      timer.shutdownNow();
    }
    call(CallOptions.DEFAULT);
    assertNull(channel.options.getDeadline());
  }
}
