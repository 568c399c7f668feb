package dev.pdp.client;

import dev.pdp.v1.DecideBatchRequest;
import dev.pdp.v1.DecideBatchResponse;
import dev.pdp.v1.DecideRequest;
import dev.pdp.v1.DecideResponse;
import dev.pdp.v1.DecideServiceGrpc.DecideServiceImplBase;
import dev.pdp.v1.DecideStreamRequest;
import dev.pdp.v1.DecideStreamResponse;
import dev.pdp.v1.Outcome;
import dev.pdp.v1.StreamRelease;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.ServerCredentials;
import io.grpc.InsecureServerCredentials;
import io.grpc.Status;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.protobuf.services.HealthStatusManager;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** A server whose answers a test controls. */
final class FakeServer extends DecideServiceImplBase implements AutoCloseable {
  /** Answers a request. */
  interface Behaviour {
    void answer(DecideRequest request, StreamObserver<DecideResponse> answer);
  }

  final List<DecideRequest> requests = new CopyOnWriteArrayList<>();
  final List<Metadata> metadata = new CopyOnWriteArrayList<>();
  final CountDownLatch cancelled = new CountDownLatch(1);
  final HealthStatusManager health = new HealthStatusManager();
  private final Server server;
  private final int port;
  volatile Behaviour behaviour = always(allow());

  FakeServer() throws Exception {
    this(0, InsecureServerCredentials.create());
  }

  FakeServer(int wantedPort, ServerCredentials credentials) throws Exception {
    server =
        NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", wantedPort), credentials)
            .addService(this)
            .addService(health.getHealthService())
            .intercept(
                new ServerInterceptor() {
                  @Override
                  public <Q, R> ServerCall.Listener<Q> interceptCall(
                      ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
                    if (call.getMethodDescriptor().getServiceName().contains("Decide")) {
                      metadata.add(headers);
                    }
                    return next.startCall(call, headers);
                  }
                })
            .build()
            .start();
    this.port = server.getPort();
  }

  static DecideResponse.Builder allow() {
    return DecideResponse.newBuilder().setOutcome(Outcome.OUTCOME_ALLOW).setAllowed(true);
  }

  /** Answers with the ID of the request. */
  static Behaviour always(DecideResponse.Builder response) {
    return (request, answer) -> {
      answer.onNext(response.clone().setRequestId(request.getRequestId()).build());
      answer.onCompleted();
    };
  }

  static Behaviour failing(Status status) {
    return (request, answer) -> answer.onError(status.asRuntimeException());
  }

  static Behaviour silent() {
    return (request, answer) -> {};
  }

  int port() {
    return port;
  }

  String address() {
    return "127.0.0.1:" + port();
  }

  @Override
  public void decide(DecideRequest request, StreamObserver<DecideResponse> answer) {
    requests.add(request);
    ((ServerCallStreamObserver<DecideResponse>) answer).setOnCancelHandler(cancelled::countDown);
    behaviour.answer(request, answer);
  }

  @Override
  public void decideBatch(
      DecideBatchRequest batch, StreamObserver<DecideBatchResponse> answer) {
    DecideBatchResponse.Builder responses = DecideBatchResponse.newBuilder();
    for (DecideRequest request : batch.getRequestsList()) {
      requests.add(request);
      behaviour.answer(request, collecting(responses));
    }
    answer.onNext(responses.build());
    answer.onCompleted();
  }

  private static StreamObserver<DecideResponse> collecting(DecideBatchResponse.Builder all) {
    return new StreamObserver<>() {
      @Override
      public void onNext(DecideResponse response) {
        all.addResponses(response);
      }

      @Override
      public void onError(Throwable error) {}

      @Override
      public void onCompleted() {}
    };
  }

  @Override
  public StreamObserver<DecideStreamRequest> decideStream(
      StreamObserver<DecideStreamResponse> answers) {
    return new StreamObserver<>() {
      private DecideRequest first = DecideRequest.getDefaultInstance();

      @Override
      public void onNext(DecideStreamRequest message) {
        if (message.hasRequest()) {
          first = message.getRequest();
        }
        requests.add(first);
        behaviour.answer(
            first,
            new StreamObserver<>() {
              @Override
              public void onNext(DecideResponse response) {
                String text = message.getChunk().getText();
                answers.onNext(
                    DecideStreamResponse.newBuilder()
                        .setResponse(response)
                        .setRelease(StreamRelease.newBuilder().setReleasedText(text))
                        .build());
              }

              @Override
              public void onError(Throwable error) {
                answers.onError(error);
              }

              @Override
              public void onCompleted() {}
            });
      }

      @Override
      public void onError(Throwable error) {
        cancelled.countDown();
      }

      @Override
      public void onCompleted() {
        answers.onCompleted();
      }
    };
  }

  @Override
  public void close() throws Exception {
    server.shutdownNow();
    server.awaitTermination(60, TimeUnit.SECONDS);
  }
}
