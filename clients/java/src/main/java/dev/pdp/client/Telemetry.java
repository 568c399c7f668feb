package dev.pdp.client;

import io.grpc.Metadata;

/** Observes calls. */
interface Telemetry {
  /** Observes one call. */
  interface Observed {
    /** Adds the trace context of the call to its metadata. */
    void inject(Metadata metadata);

    /** Reports a decision, which ends the call. */
    void end(Decision decision);

    /** Reports that the call ended; {@code error} is null if it did not fail. */
    void end(Throwable error);
  }

  /** Returns an observer of a call that starts now. */
  Observed start(String method);

  /** Returns what reports to OpenTelemetry if its API is there, and nothing otherwise. */
  static Telemetry available() {
    try {
      Class.forName("io.opentelemetry.api.GlobalOpenTelemetry", false, loader());
      return OpenTelemetryReports.global();
    } catch (ClassNotFoundException | LinkageError absent) {
      return method -> Silent.INSTANCE;
    }
  }

  private static ClassLoader loader() {
    return Telemetry.class.getClassLoader();
  }

  /** Observes nothing. */
  enum Silent implements Observed {
    /** The only one. */
    INSTANCE;

    @Override
    public void inject(Metadata metadata) {}

    @Override
    public void end(Decision decision) {}

    @Override
    public void end(Throwable error) {}
  }
}
