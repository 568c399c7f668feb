/** Certificates for tests, made by `openssl`. */

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The files of a certificate and of the authority that signs it. */
export interface Certificate {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

/** Returns a certificate of a new authority for a name. */
export function makeCertificate(name: string): Certificate {
  if (spawnSync("openssl", ["version"]).status !== 0) {
    throw new Error("The tests of TLS need the program openssl. Install it, for instance with apt.");
  }
  const folder = mkdtempSync(join(tmpdir(), "pdp-tls-"));
  const file = (each: string) => join(folder, each);
  const run = (...arguments_: string[]) =>
    execFileSync("openssl", arguments_, { cwd: folder, stdio: "pipe" });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  run("req", "-x509", ...key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test CA", "-days", "2");
  run("req", ...key, "-keyout", "key.pem", "-out", "request.pem", "-subj", `/CN=${name}`);
  writeFileSync(file("names.txt"), `subjectAltName=${/^[\d.]+$/.test(name) ? "IP" : "DNS"}:${name}\n`);
  run(
    ...["x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2"],
    ...["-CAcreateserial", "-extfile", "names.txt", "-out", "cert.pem"],
  );
  return { caFile: file("ca.pem"), certFile: file("cert.pem"), keyFile: file("key.pem") };
}
