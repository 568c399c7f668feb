package dev.pdp.client;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** A real server, in a process of its own. */
final class RealServer implements AutoCloseable {
  static final Path REPOSITORY = Path.of("..", "..").toAbsolutePath().normalize();
  private static final long WAIT_S = 120;

  private final Process process;
  private final Path folder;
  private final JsonObject announcement;

  RealServer(Map<String, String> settings) throws Exception {
    folder = Files.createTempDirectory("pdp-java");
    ProcessBuilder builder = new ProcessBuilder(program(), "serve", "--auth", "dev");
    builder.redirectErrorStream(true);
    Map<String, String> environment = builder.environment();
    environment.keySet().removeIf(each -> each.startsWith("PDP_"));
    environment.put("PDP_DATA_DIR", folder.toString());
    environment.put("PDP_GRPC_LISTEN", "127.0.0.1:0");
    environment.put("PDP_HTTP_LISTEN", "127.0.0.1:0");
    environment.putAll(settings);
    process = builder.start();
    CompletableFuture<JsonObject> serving = new CompletableFuture<>();
    Thread reader = new Thread(() -> read(serving), "server-output");
    reader.setDaemon(true);
    reader.start();
    try {
      announcement = serving.get(WAIT_S, TimeUnit.SECONDS);
    } catch (Exception error) {
      process.destroyForcibly();
      throw error;
    }
  }

  static String program() {
    String program = System.getenv("PDP_PROGRAM");
    return program == null || program.isEmpty()
        ? REPOSITORY.resolve(".venv/bin/pdp").toString()
        : program;
  }

  /** The address of gRPC. */
  String address() {
    return announcement.get("grpc").getAsString();
  }

  /** The URL of HTTP. */
  String url() {
    return announcement.get("http").getAsString();
  }

  private void read(CompletableFuture<JsonObject> serving) {
    StringBuilder output = new StringBuilder();
    try (BufferedReader lines =
        new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        output.append(line).append('\n');
        if (line.startsWith("{") && line.contains("\"grpc\"") && !serving.isDone()) {
          serving.complete(JsonParser.parseString(line).getAsJsonObject());
        }
      }
    } catch (IOException error) {
      output.append(error);
    }
    serving.completeExceptionally(new IllegalStateException("the server has ended: " + output));
  }

  @Override
  public void close() throws Exception {
    process.destroy();
    if (!process.waitFor(WAIT_S, TimeUnit.SECONDS)) {
      process.destroyForcibly().waitFor();
    }
    try (Stream<Path> paths = Files.walk(folder)) {
      paths.sorted(Comparator.reverseOrder()).forEach(RealServer::delete);
    }
  }

  private static void delete(Path path) {
    try {
      Files.delete(path);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }
}
