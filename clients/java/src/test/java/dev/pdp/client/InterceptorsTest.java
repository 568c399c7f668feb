package dev.pdp.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.StringValue;
import dev.pdp.v1.DecideResponse;
import dev.pdp.v1.Obligation;
import dev.pdp.v1.ObligationType;
import dev.pdp.v1.Outcome;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientInterceptors;
import io.grpc.Context;
import io.grpc.InsecureChannelCredentials;
import io.grpc.InsecureServerCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.Server;
import io.grpc.ServerInterceptors;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.protobuf.ProtoUtils;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.ServerCalls;
import io.grpc.stub.StreamObserver;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A message goes on only if the decision permits it. */
class InterceptorsTest {
  private static final MethodDescriptor<StringValue, StringValue> UNARY =
      method("Echo", MethodType.UNARY);
  private static final MethodDescriptor<StringValue, StringValue> STREAM =
      method("Chat", MethodType.BIDI_STREAMING);

  private final List<String> received = new CopyOnWriteArrayList<>();
  private FakeServer pdp;
  private PdpClient client;
  private Server service;
  private ManagedChannel channel;

  private static MethodDescriptor<StringValue, StringValue> method(String name, MethodType type) {
    return MethodDescriptor.<StringValue, StringValue>newBuilder()
        .setType(type)
        .setFullMethodName("test.Service/" + name)
        .setRequestMarshaller(ProtoUtils.marshaller(StringValue.getDefaultInstance()))
        .setResponseMarshaller(ProtoUtils.marshaller(StringValue.getDefaultInstance()))
        .build();
  }

  /** Decides on the text; "open" goes on without a decision. */
  private static class Guard implements GrpcGuard {
    @Override
    public Optional<DecisionRequest> request(
        MethodDescriptor<?, ?> method, Metadata headers, Object message) {
      String text = ((StringValue) message).getValue();
      if (text.equals("broken")) {
        throw new IllegalStateException("the guard is broken");
      }
      return text.equals("open") ? Optional.empty() : Optional.of(DecisionRequest.ofText(text));
    }
  }

  /** Sends the redacted text. */
  private static final class RedactingGuard extends Guard {
    @Override
    public Object apply(
        Object message, DecisionRequest request, Decision decision, Permit permit) {
      return StringValue.of(permit.text());
    }
  }

  @BeforeEach
  void start() throws Exception {
    pdp = new FakeServer();
    pdp.behaviour =
        (request, answer) -> {
          String text = request.getContent().getText();
          if (text.equals("unavailable")) {
            answer.onError(Status.UNAVAILABLE.asRuntimeException());
            return;
          }
          DecideResponse.Builder response = FakeServer.allow();
          if (text.equals("bad")) {
            response.setOutcome(Outcome.OUTCOME_BLOCK).setAllowed(false);
            response.setMessage("It is bad.").setReasonCode("BAD").setDecisionId("d1");
          } else if (text.equals("later")) {
            response.setOutcome(Outcome.OUTCOME_BLOCK).setAllowed(false);
            response.setReasonCode("LIMIT_EXCEEDED").setRetryAfterS(3);
          } else if (text.equals("secret")) {
            response.setOutcome(Outcome.OUTCOME_REDACT).setRedactedText("[REDACTED]");
            response.addObligations(
                Obligation.newBuilder()
                    .setType(ObligationType.OBLIGATION_TYPE_REDACT)
                    .addSpans(dev.pdp.v1.Span.newBuilder().setEnd(6)));
          }
          FakeServer.always(response).answer(request, answer);
        };
    client =
        PdpClient.builder(pdp.address())
            .timeout(Duration.ofSeconds(60))
            .circuitBreaker(1000, Duration.ofSeconds(60))
            .build();
  }

  @AfterEach
  void stop() throws Exception {
    channel.shutdownNow().awaitTermination(60, TimeUnit.SECONDS);
    service.shutdownNow().awaitTermination(60, TimeUnit.SECONDS);
    client.close();
    pdp.close();
  }

  /** Starts a service with the interceptor on one of its sides; returns the caller's channel. */
  private Channel serve(boolean onServer, GrpcGuard guard) throws Exception {
    ServerServiceDefinition definition =
        ServerServiceDefinition.builder("test.Service")
            .addMethod(UNARY, ServerCalls.asyncUnaryCall(this::echo))
            .addMethod(STREAM, ServerCalls.asyncBidiStreamingCall(this::chat))
            .build();
    service =
        NettyServerBuilder.forAddress(
                new InetSocketAddress("127.0.0.1", 0), InsecureServerCredentials.create())
            .addService(
                onServer
                    ? ServerInterceptors.intercept(
                        definition, new PdpServerInterceptor(client, guard))
                    : definition)
            .build()
            .start();
    channel =
        NettyChannelBuilder.forAddress(
                "127.0.0.1", service.getPort(), InsecureChannelCredentials.create())
            .build();
    return onServer
        ? channel
        : ClientInterceptors.intercept(channel, new PdpClientInterceptor(client, guard));
  }

  private void echo(StringValue message, StreamObserver<StringValue> answer) {
    received.add(message.getValue());
    if (message.getValue().equals("crash")) {
      throw new IllegalStateException("the service has failed");
    }
    assertTrue(Context.current() != Context.ROOT);
    answer.onNext(message);
    answer.onCompleted();
  }

  private StreamObserver<StringValue> chat(StreamObserver<StringValue> answers) {
    return new StreamObserver<>() {
      @Override
      public void onNext(StringValue message) {
        echoed(message);
      }

      private void echoed(StringValue message) {
        received.add(message.getValue());
        answers.onNext(message);
      }

      @Override
      public void onError(Throwable error) {}

      @Override
      public void onCompleted() {
        answers.onCompleted();
      }
    };
  }

  private static String call(Channel caller, String text) {
    return ClientCalls.blockingUnaryCall(
            caller, UNARY, CallOptions.DEFAULT.withDeadlineAfter(60, TimeUnit.SECONDS),
            StringValue.of(text))
        .getValue();
  }

  private static Status refusal(Channel caller, String text) {
    return assertThrows(StatusRuntimeException.class, () -> call(caller, text)).getStatus();
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void aCallIsDecidedOn(boolean onServer) throws Exception {
    Channel caller = serve(onServer, new Guard());
    assertEquals("hello", call(caller, "hello"));
    assertEquals(1, pdp.requests.size());
    assertEquals("open", call(caller, "open"));
    assertEquals(1, pdp.requests.size());
    StatusRuntimeException bad =
        assertThrows(StatusRuntimeException.class, () -> call(caller, "bad"));
    assertEquals(Status.Code.PERMISSION_DENIED, bad.getStatus().getCode());
    assertEquals("It is bad.", bad.getStatus().getDescription());
    assertEquals(
        "BAD",
        bad.getTrailers().get(Metadata.Key.of("pdp-reason", Metadata.ASCII_STRING_MARSHALLER)));
    assertEquals(Status.Code.RESOURCE_EXHAUSTED, refusal(caller, "later").getCode());
    assertEquals(Status.Code.PERMISSION_DENIED, refusal(caller, "secret").getCode());
    assertEquals(Status.Code.UNAVAILABLE, refusal(caller, "unavailable").getCode());
    assertEquals(Status.Code.INTERNAL, refusal(caller, "broken").getCode());
    assertEquals(List.of("hello", "open"), received);
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void aGuardCanRedact(boolean onServer) throws Exception {
    Channel caller = serve(onServer, new RedactingGuard());
    assertEquals("[REDACTED]", call(caller, "secret"));
    assertEquals(List.of("[REDACTED]"), received);
  }

  @Test
  void aServiceThatFailsEndsTheCall() throws Exception {
    Channel caller = serve(true, new Guard());
    assertEquals(Status.Code.UNKNOWN, refusal(caller, "crash").getCode());
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void theMessagesOfAStreamAreDecidedOnInOrder(boolean onServer) throws Exception {
    Channel caller = serve(onServer, new RedactingGuard());
    CompletableFuture<List<String>> answers = new CompletableFuture<>();
    StreamObserver<StringValue> call = chat(caller, answers);
    for (String text : List.of("one", "secret", "open", "two")) {
      call.onNext(StringValue.of(text));
    }
    call.onCompleted();
    assertEquals(
        List.of("one", "[REDACTED]", "open", "two"), answers.get(60, TimeUnit.SECONDS));
  }

  @Test
  void manyMessagesCanWait() throws Exception {
    Channel caller = serve(false, new Guard());
    CompletableFuture<List<String>> answers = new CompletableFuture<>();
    StreamObserver<StringValue> call = chat(caller, answers);
    call.onNext(StringValue.of("one"));
    for (int count = 0; count < 5000; count++) {
      call.onNext(StringValue.of("open"));
    }
    call.onCompleted();
    assertEquals(5001, answers.get(60, TimeUnit.SECONDS).size());
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void aDeniedMessageEndsAStream(boolean onServer) throws Exception {
    Channel caller = serve(onServer, new Guard());
    CompletableFuture<List<String>> answers = new CompletableFuture<>();
    StreamObserver<StringValue> call = chat(caller, answers);
    for (String text : List.of("one", "bad", "open")) {
      call.onNext(StringValue.of(text));
    }
    ExecutionException error =
        assertThrows(ExecutionException.class, () -> answers.get(60, TimeUnit.SECONDS));
    assertEquals(Status.Code.PERMISSION_DENIED, Status.fromThrowable(error.getCause()).getCode());
    assertTrue(List.of("one").containsAll(received), received::toString);
  }

  private static StreamObserver<StringValue> chat(
      Channel caller, CompletableFuture<List<String>> answers) {
    List<String> texts = new CopyOnWriteArrayList<>();
    return ClientCalls.asyncBidiStreamingCall(
        caller.newCall(STREAM, CallOptions.DEFAULT),
        new StreamObserver<>() {
          @Override
          public void onNext(StringValue message) {
            texts.add(message.getValue());
          }

          @Override
          public void onError(Throwable error) {
            answers.completeExceptionally(error);
          }

          @Override
          public void onCompleted() {
            answers.complete(texts);
          }
        });
  }
}
