package dev.pdp.client;

import java.util.concurrent.ThreadFactory;
import java.util.concurrent.atomic.AtomicInteger;

/** Creates the threads of a client. They do not keep the program alive. */
final class Threads implements ThreadFactory {
  /** What the names of all threads of clients start with. */
  static final String PREFIX = "pdp-client-";

  private final AtomicInteger count = new AtomicInteger();
  private final String kind;

  Threads(String kind) {
    this.kind = kind;
  }

  @Override
  public Thread newThread(Runnable work) {
    Thread thread = new Thread(work, PREFIX + kind + "-" + count.incrementAndGet());
    thread.setDaemon(true);
    return thread;
  }
}
