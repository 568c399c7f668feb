package dev.pdp.client;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The examples run as they stand. */
class ExamplesTest {
  private static final Pattern BLOCK = Pattern.compile("(?s)```java\n(.*?)```");
  private static RealServer server;

  @TempDir Path folder;

  @BeforeAll
  static void start() throws Exception {
    server = new RealServer(Map.of());
  }

  @AfterAll
  static void stop() throws Exception {
    server.close();
  }

  private static String run(Path program, String... arguments) throws Exception {
    String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
    List<String> command = new ArrayList<>();
    String classes = System.getProperty("java.class.path");
    command.addAll(List.of(java, "-cp", classes, program.toString()));
    command.addAll(List.of(arguments));
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), output);
    return output.strip();
  }

  @Test
  void theFirstExampleOfTheReadmeGetsADecision() throws Exception {
    Matcher block = BLOCK.matcher(Files.readString(Path.of("README.md")));
    block.find();
    // Only the address differs: this server is on a free port.
    String code = block.group(1).replace("127.0.0.1:50051", server.address());
    Path program = Files.writeString(folder.resolve("Example.java"), code);
    assertEquals("send My card is [REDACTED].", run(program));
  }

  @Test
  void theProgramPrintsWhatMayGoOut() throws Exception {
    Path program = Path.of("examples/Decide.java");
    assertEquals("hello", run(program, server.address(), "hello"));
    assertEquals(
        "BLOCK This request contains a UNION SELECT and was stopped as SQL injection.",
        run(program, server.address(), "1 UNION SELECT password FROM users"));
  }
}
