package dev.pdp.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** A closed client leaves no threads. */
class ThreadsTest {
  @Test
  void closeEndsAllThreads() throws Exception {
    try (RealServer server = new RealServer(Map.of())) {
      Set<Thread> before = Thread.getAllStackTraces().keySet();
      PdpClient client =
          PdpClient.builder(server.address()).timeout(Duration.ofSeconds(60)).build();
      assertTrue(client.decide(DecisionRequest.ofText("hello")).allowed());
      try (TextStream stream = client.openTextStream(DecisionRequest.builder().build())) {
        stream.feed("hello");
        stream.finish();
      }
      assertTrue(own().size() > 1, () -> own().toString());
      client.close();
      assertEquals(Set.of(), own());
      // Threads that gRPC and Netty share between channels end when they have nothing to do.
      for (Thread each : Thread.getAllStackTraces().keySet()) {
        if (!before.contains(each)) {
          each.join(Duration.ofSeconds(60).toMillis());
          assertFalse(each.isAlive(), each::getName);
        }
      }
    }
  }

  @Test
  void closeEndsAllThreadsOfAClientWithoutAServer() throws Exception {
    int port;
    try (FakeServer server = new FakeServer()) {
      port = server.port();
    }
    PdpClient client = PdpClient.connect("127.0.0.1:" + port);
    assertFalse(client.decide(DecisionRequest.ofText("hello")).allowed());
    client.close();
    assertEquals(Set.of(), own());
  }

  private static Set<String> own() {
    return Thread.getAllStackTraces().keySet().stream()
        .map(Thread::getName)
        .filter(each -> each.startsWith(Threads.PREFIX))
        .collect(Collectors.toSet());
  }
}
