import com.google.protobuf.DescriptorProtos.FileDescriptorProto;
import com.google.protobuf.DescriptorProtos.FileDescriptorSet;
import com.google.protobuf.DescriptorProtos.FileOptions;
import com.google.protobuf.ExtensionRegistry;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * Generates the stubs: {@code java build/GenerateStubs.java CONTRACTS PROTOC GRPC_PLUGIN TARGET}.
 *
 * <p>The contracts name no Java package. This program sets it, and runs protoc on the contracts that
 * the client uses, and on those that they import.
 */
final class GenerateStubs {
  private static final String OWN = "pdp/v1/";
  private static final List<String> USED =
      List.of("pdp/v1/decide.proto", "pdp/v1/simulate.proto", "pdp/v1/approval.proto");

  public static void main(String[] arguments) throws IOException, InterruptedException {
    Path contracts = Path.of(arguments[0]);
    Path target = Path.of(arguments[3]);
    Path prepared = target.resolve("contracts.binpb");
    Path sources = target.resolve("generated-sources/protobuf");
    if (!Files.exists(contracts)) {
      System.err.println(
          contracts.normalize() + " is missing: run 'make contracts' in the root of the repository");
      System.exit(1);
    }
    byte[] content = prepare(Files.readAllBytes(contracts));
    if (Files.exists(prepared) && java.util.Arrays.equals(content, Files.readAllBytes(prepared))) {
      return;
    }
    Files.createDirectories(sources);
    delete(sources.resolve("dev"));
    Path input = target.resolve("contracts.new");
    Files.write(input, content);
    for (String program : List.of(arguments[1], arguments[2])) {
      Path.of(program).toFile().setExecutable(true);
    }
    List<String> command = new ArrayList<>(
        List.of(
            arguments[1],
            "--descriptor_set_in=" + input,
            "--java_out=" + sources,
            "--plugin=protoc-gen-grpc-java=" + arguments[2],
            "--grpc-java_out=@generated=omit:" + sources));
    for (FileDescriptorProto file : FileDescriptorSet.parseFrom(content).getFileList()) {
      if (file.getName().startsWith(OWN)) {
        command.add(file.getName());
      }
    }
    int status = new ProcessBuilder(command).inheritIO().start().waitFor();
    if (status != 0) {
      throw new IOException("protoc ended with the status " + status);
    }
    Files.move(input, prepared, java.nio.file.StandardCopyOption.REPLACE_EXISTING);
  }

  /** Returns the contracts that are needed, each after those that it imports. */
  private static byte[] prepare(byte[] contracts) throws IOException {
    Map<String, FileDescriptorProto> files = new LinkedHashMap<>();
    for (FileDescriptorProto file :
        FileDescriptorSet.parseFrom(contracts, ExtensionRegistry.getEmptyRegistry())
            .getFileList()) {
      files.put(file.getName(), file);
    }
    Map<String, FileDescriptorProto> needed = new LinkedHashMap<>();
    USED.forEach(name -> add(name, files, needed));
    return FileDescriptorSet.newBuilder().addAllFile(needed.values()).build().toByteArray();
  }

  private static void add(
      String name, Map<String, FileDescriptorProto> files, Map<String, FileDescriptorProto> added) {
    FileDescriptorProto file = files.get(name);
    if (file == null) {
      throw new IllegalArgumentException("the contracts have no file " + name);
    }
    file.getDependencyList().forEach(each -> add(each, files, added));
    added.putIfAbsent(name, name.startsWith(OWN) ? withJavaPackage(file) : file);
  }

  private static FileDescriptorProto withJavaPackage(FileDescriptorProto file) {
    StringBuilder outer = new StringBuilder();
    for (String part : file.getName().replaceAll(".*/|\\.proto$", "").split("_")) {
      outer.append(Character.toUpperCase(part.charAt(0))).append(part.substring(1));
    }
    FileOptions options =
        file.getOptions().toBuilder()
            .setJavaPackage("dev.pdp.v1")
            .setJavaMultipleFiles(true)
            .setJavaOuterClassname(outer + "Proto")
            .build();
    return file.toBuilder().setOptions(options).build();
  }

  private static void delete(Path folder) throws IOException {
    if (!Files.exists(folder)) {
      return;
    }
    try (Stream<Path> paths = Files.walk(folder)) {
      for (Path path : paths.sorted(java.util.Comparator.reverseOrder()).toList()) {
        Files.delete(path);
      }
    }
  }
}
