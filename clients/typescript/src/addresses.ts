/** Addresses of gRPC, and whether they leave this machine. */

/**
 * Returns whether an address is of this machine: a loopback address or a socket of Unix.
 *
 * @param address - `HOST:PORT`, `[IPV6]:PORT`, `unix:PATH` or `dns:HOST:PORT`.
 */
export function isLocal(address: string): boolean {
  if (address.startsWith("unix:") || address.startsWith("unix-abstract:")) return true;
  return isLoopback(hostOf(address));
}

/** Returns whether a name or an address of a host is a loopback one. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/^\[|\]$/g, "").toLowerCase();
  if (name === "localhost" || name === "::1") return true;
  return /^127(\.\d{1,3}){3}$/.test(name);
}

/**
 * Throws if an address is not one of gRPC.
 *
 * @throws RangeError - it is not.
 */
export function checkAddress(address: string): void {
  if (address.startsWith("unix:") || address.startsWith("unix-abstract:")) return;
  if (!/^(dns:(\/\/[^/]*\/)?)?(\[[0-9a-fA-F:.%]+\]|[^\s:/[\]]+):\d{1,5}$/.test(address)) {
    throw new RangeError(`the address ${JSON.stringify(address)} is not HOST:PORT or unix:PATH`);
  }
}

function hostOf(address: string): string {
  const name = address.replace(/^dns:(\/\/[^/]*\/)?/, "");
  return name.slice(0, name.lastIndexOf(":"));
}
