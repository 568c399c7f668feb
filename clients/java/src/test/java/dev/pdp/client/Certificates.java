package dev.pdp.client;

import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.Key;
import java.security.KeyStore;
import java.util.Base64;
import java.util.List;

/** A key with a certificate that it has signed itself, as PEM files. */
record Certificates(Path certificate, Path key) {
  private static final char[] PASSWORD = "changeit".toCharArray();

  /** Makes a certificate for a host name and 127.0.0.1. */
  static Certificates of(Path folder, String host, boolean withAddress) throws Exception {
    Path store = folder.resolve(host + ".p12");
    String keytool = Path.of(System.getProperty("java.home"), "bin", "keytool").toString();
    Process process =
        new ProcessBuilder(
                List.of(
                    keytool, "-genkeypair", "-alias", "own", "-keyalg", "EC", "-groupname",
                    "secp256r1", "-dname", "CN=" + host, "-validity", "2", "-storetype", "PKCS12",
                    "-keystore", store.toString(), "-storepass", new String(PASSWORD), "-ext",
                    "san=dns:" + host + (withAddress ? ",ip:127.0.0.1" : ""), "-ext", "bc=ca:true"))
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .start();
    if (process.waitFor() != 0) {
      throw new IllegalStateException("keytool has failed");
    }
    KeyStore keys = KeyStore.getInstance("PKCS12");
    try (InputStream input = Files.newInputStream(store)) {
      keys.load(input, PASSWORD);
    }
    Key key = keys.getKey("own", PASSWORD);
    return new Certificates(
        write(folder.resolve(host + ".crt"), "CERTIFICATE", keys.getCertificate("own").getEncoded()),
        write(folder.resolve(host + ".key"), "PRIVATE KEY", key.getEncoded()));
  }

  private static Path write(Path file, String kind, byte[] content) throws Exception {
    String text = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(content);
    return Files.writeString(
        file, "-----BEGIN " + kind + "-----\n" + text + "\n-----END " + kind + "-----\n");
  }
}
