package dev.pdp.client;

import io.grpc.Attributes;
import io.grpc.EquivalentAddressGroup;
import io.grpc.NameResolver;
import io.grpc.Status;
import io.grpc.StatusOr;
import io.grpc.netty.shaded.io.netty.channel.unix.DomainSocketAddress;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.Executor;

/** The addresses of the servers: all HOST:PORT, or all unix:PATH. */
final class Addresses {
  private static final String SCHEME = "pdp";
  private static final String UNIX = "unix:";

  private final List<Address> all;
  private final boolean unix;

  private record Address(String text, String host, int port) {
    static Address of(String text) {
      if (text.startsWith(UNIX)) {
        return new Address(text, text.substring(UNIX.length()).replaceFirst("^//", ""), 0);
      }
      try {
        URI uri = URI.create("pdp://" + text);
        String host = uri.getHost();
        if (host != null && uri.getPort() > 0 && uri.getPath().isEmpty()) {
          return new Address(text, host.replaceAll("[\\[\\]]", ""), uri.getPort());
        }
      } catch (IllegalArgumentException malformed) {
        // The message below says what is wrong.
      }
      throw new IllegalArgumentException(
          "address: '" + text + "' is no address. Use HOST:PORT or unix:PATH.");
    }

    boolean isLocal() {
      return host.equals("localhost")
          || host.equals("::1")
          || host.matches("127\\.\\d+\\.\\d+\\.\\d+");
    }
  }

  Addresses(Collection<String> addresses) {
    if (addresses.isEmpty()) {
      throw new IllegalArgumentException("address: set one at least");
    }
    all = addresses.stream().distinct().map(Address::of).toList();
    unix = all.get(0).text().startsWith(UNIX);
    if (all.stream().anyMatch(each -> each.text().startsWith(UNIX) != unix)) {
      throw new IllegalArgumentException("address: use HOST:PORT or unix:PATH, not both");
    }
  }

  /** Returns whether all addresses are sockets of this machine. */
  boolean isUnix() {
    return unix;
  }

  /** Returns whether no packet to these addresses leaves this machine. */
  boolean isLocal() {
    return unix || all.stream().allMatch(Address::isLocal);
  }

  /** Returns the target of the channel. */
  String target() {
    return SCHEME + ":///servers";
  }

  /** Returns what resolves the addresses of this channel. */
  NameResolver.Factory resolvers() {
    return new NameResolver.Factory() {
      @Override
      public String getDefaultScheme() {
        return SCHEME;
      }

      @Override
      public NameResolver newNameResolver(URI target, NameResolver.Args arguments) {
        return new Resolver(arguments.getOffloadExecutor());
      }
    };
  }

  private final class Resolver extends NameResolver {
    private final Executor executor;
    private Listener2 listener;

    Resolver(Executor executor) {
      this.executor = executor;
    }

    @Override
    public String getServiceAuthority() {
      return unix ? "localhost" : all.get(0).text();
    }

    @Override
    public void start(Listener2 newListener) {
      listener = newListener;
      refresh();
    }

    @Override
    public void refresh() {
      executor.execute(() -> listener.onResult(resolve()));
    }

    @Override
    public void shutdown() {}

    private ResolutionResult resolve() {
      List<EquivalentAddressGroup> groups = new ArrayList<>();
      String problem = "";
      for (Address each : all) {
        try {
          groups.addAll(resolve(each));
        } catch (UnknownHostException error) {
          problem = "the host name cannot be resolved: " + each.host();
        }
      }
      StatusOr<List<EquivalentAddressGroup>> result =
          groups.isEmpty()
              ? StatusOr.fromStatus(Status.UNAVAILABLE.withDescription(problem))
              : StatusOr.fromValue(groups);
      return ResolutionResult.newBuilder().setAddressesOrError(result).build();
    }

    private List<EquivalentAddressGroup> resolve(Address address) throws UnknownHostException {
      if (unix) {
        return List.of(new EquivalentAddressGroup(new DomainSocketAddress(address.host())));
      }
      Attributes attributes =
          Attributes.newBuilder()
              .set(EquivalentAddressGroup.ATTR_AUTHORITY_OVERRIDE, address.text())
              .build();
      List<EquivalentAddressGroup> groups = new ArrayList<>();
      for (InetAddress each : InetAddress.getAllByName(address.host())) {
        groups.add(
            new EquivalentAddressGroup(
                new InetSocketAddress(each, address.port()), attributes));
      }
      return groups;
    }
  }
}
