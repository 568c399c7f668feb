package dev.pdp.client;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The dependencies are those of the lock file. */
class DependenciesTest {
  @Test
  void theDependenciesAreThoseOfTheLockFile() throws Exception {
    assertEquals(
        read(Path.of("dependencies.lock")),
        read(Path.of("target/dependencies.lock")),
        "If the change is wanted, copy target/dependencies.lock to dependencies.lock.");
  }

  private static List<String> read(Path file) throws Exception {
    try (Stream<String> lines = Files.lines(file)) {
      return lines
          .map(each -> each.replaceAll("\u001B\\[[0-9;]*m", "").replaceAll(" -- module.*", ""))
          .map(String::strip)
          .filter(each -> each.matches("[\\w.-]+(:[\\w.-]+){4,5}.*"))
          .sorted()
          .toList();
    }
  }
}
