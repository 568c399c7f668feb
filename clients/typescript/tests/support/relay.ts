/** A relay of TCP that can stop to forward, so that connections through it are half-open. */

import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** Forwards connections to an address. */
export class Relay {
  #sockets = new Set<Socket>();
  #frozen = new Set<Socket>();

  private constructor(private readonly server: Server) {}

  /** Starts a relay on a free port. */
  static async start(target: string): Promise<Relay> {
    const server = createServer();
    const relay = new Relay(server);
    const [host = "", port] = target.split(":");
    server.on("connection", (client) => {
      const upstream = connect(Number(port), host);
      relay.#add(client, upstream);
      relay.#add(upstream, client);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return relay;
  }

  get address(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Forwards nothing more on the connections that are open now. They stay open. */
  freeze(): void {
    for (const each of this.#sockets) this.#frozen.add(each);
  }

  /** Ends the relay and its connections. */
  stop(): void {
    this.server.close();
    for (const each of this.#sockets) each.destroy();
  }

  #add(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.on("data", (data) => {
      if (!this.#frozen.has(from)) to.write(data);
    });
    from.on("close", () => {
      this.#sockets.delete(from);
      to.destroy();
    });
    from.on("error", () => to.destroy());
  }
}
