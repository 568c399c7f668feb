package dev.pdp.client;

import io.grpc.ChannelCredentials;
import io.grpc.ConnectivityState;
import io.grpc.Context;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.shaded.io.netty.channel.EventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.epoll.Epoll;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollDomainSocketChannel;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollEventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.nio.NioEventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.socket.nio.NioSocketChannel;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;

/** The channel to the servers, and the threads that serve it. */
final class Connection implements AutoCloseable {
  private static final int KEEPALIVE_S = 20;
  private static final int KEEPALIVE_TIMEOUT_S = 5;
  private static final long RECONNECT_NANOS = TimeUnit.MILLISECONDS.toNanos(100);
  private static final int CLOSE_S = 5;

  private final Threads ioThreads = new Threads("io");
  private final Threads workerThreads = new Threads("worker");
  private final EventLoopGroup loop;
  private final ExecutorService executor;
  private final ManagedChannel channel;
  private final AtomicLong reconnectedAt = new AtomicLong(System.nanoTime());

  /**
   * Prepares the connections, which are opened at the first call.
   *
   * @param tls how to connect by TLS; empty for no TLS
   * @param health whether to use only servers whose health is SERVING
   * @throws IllegalArgumentException if a file of {@code tls} cannot be used
   */
  @SuppressWarnings("deprecation") // There is no other way to name several addresses in a target.
  Connection(Addresses addresses, Optional<Tls> tls, boolean health) {
    ChannelCredentials credentials =
        tls.map(Tls::channelCredentials).orElseGet(InsecureChannelCredentials::create);
    NettyChannelBuilder builder;
    builder = NettyChannelBuilder.forTarget(addresses.target(), credentials);
    if (addresses.isUnix() && !Epoll.isAvailable()) {
      throw new IllegalArgumentException(
          "address: unix sockets need epoll, which this system does not have");
    }
    loop =
        addresses.isUnix()
            ? new EpollEventLoopGroup(1, ioThreads)
            : new NioEventLoopGroup(1, ioThreads);
    executor = Executors.newCachedThreadPool(workerThreads);
    builder
        .nameResolverFactory(addresses.resolvers())
        .eventLoopGroup(loop)
        .channelType(
            addresses.isUnix() ? EpollDomainSocketChannel.class : NioSocketChannel.class)
        .executor(executor)
        .offloadExecutor(executor)
        .defaultLoadBalancingPolicy("round_robin")
        .defaultServiceConfig(
            health ? Map.of("healthCheckConfig", Map.of("serviceName", "")) : Map.of())
        .disableServiceConfigLookUp()
        .disableRetry() // The client retries by itself, within its budget.
        .proxyDetector(address -> null)
        .keepAliveTime(KEEPALIVE_S, TimeUnit.SECONDS)
        .keepAliveTimeout(KEEPALIVE_TIMEOUT_S, TimeUnit.SECONDS)
        .keepAliveWithoutCalls(true)
        .maxInboundMessageSize(Integer.MAX_VALUE); // The answer to a batch can be large.
    tls.flatMap(Tls::serverName).ifPresent(builder::overrideAuthority);
    channel = builder.build();
  }

  ManagedChannel channel() {
    return channel;
  }

  /** Returns what runs work later. */
  ScheduledExecutorService scheduler() {
    return loop;
  }

  ExecutorService executor() {
    return executor;
  }

  /** Connects, and returns whether a server is ready within some time. */
  boolean awaitReady(long nanos) throws InterruptedException {
    long deadline = System.nanoTime() + nanos;
    while (true) {
      ConnectivityState state = connecting();
      long rest = deadline - System.nanoTime();
      if (state == ConnectivityState.READY || state == ConnectivityState.SHUTDOWN || rest <= 0) {
        return state == ConnectivityState.READY;
      }
      if (state == ConnectivityState.TRANSIENT_FAILURE) {
        reconnect();
      }
      CountDownLatch changed = new CountDownLatch(1);
      channel.notifyWhenStateChanged(state, changed::countDown);
      // A channel that has failed does not always report that it tries again.
      changed.await(Math.min(rest, RECONNECT_NANOS), TimeUnit.NANOSECONDS);
    }
  }

  /** Connects at once if the channel waits before it connects again. */
  void reconnect() {
    long now = System.nanoTime();
    long last = reconnectedAt.get();
    if (now - last >= RECONNECT_NANOS && reconnectedAt.compareAndSet(last, now)) {
      Context.ROOT.run(channel::resetConnectBackoff);
    }
  }

  /** Connects if the channel is idle, and returns its state. */
  private ConnectivityState connecting() {
    Context previous = Context.ROOT.attach(); // What the channel starts outlives the caller.
    try {
      return channel.getState(true);
    } finally {
      Context.ROOT.detach(previous);
    }
  }

  /** Ends all calls and connections, and waits for the threads to end. */
  @Override
  public void close() {
    channel.shutdownNow();
    boolean own = Thread.currentThread().getName().startsWith(Threads.PREFIX);
    try {
      if (!own) { // A thread of the client cannot wait for itself.
        channel.awaitTermination(CLOSE_S, TimeUnit.SECONDS);
      }
      loop.shutdownGracefully(0, CLOSE_S, TimeUnit.SECONDS);
      executor.shutdown();
      if (!own) {
        ioThreads.join(TimeUnit.SECONDS.toMillis(CLOSE_S));
        workerThreads.join(TimeUnit.SECONDS.toMillis(CLOSE_S));
      }
    } catch (InterruptedException interrupted) {
      loop.shutdownGracefully(0, CLOSE_S, TimeUnit.SECONDS);
      executor.shutdown();
      Thread.currentThread().interrupt();
    }
  }
}
