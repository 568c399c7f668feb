package dev.pdp.client;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ThreadFactory;

/** Creates the threads of a client. They do not keep the program alive. */
final class Threads implements ThreadFactory {
  /** What the names of all threads of clients start with. */
  static final String PREFIX = "pdp-client-";

  private final List<Thread> threads = new ArrayList<>();
  private final String kind;
  private int count;

  Threads(String kind) {
    this.kind = kind;
  }

  @Override
  public synchronized Thread newThread(Runnable work) {
    count++;
    Thread thread = new Thread(work, PREFIX + kind + "-" + count);
    thread.setDaemon(true);
    threads.removeIf(each -> each.getState() == Thread.State.TERMINATED);
    threads.add(thread);
    return thread;
  }

  /** Waits until the threads end, each for at most some milliseconds. */
  void join(long millis) throws InterruptedException {
    List<Thread> started;
    synchronized (this) {
      started = List.copyOf(threads);
    }
    for (Thread each : started) {
      if (each != Thread.currentThread()) {
        each.join(millis);
      }
    }
  }
}
