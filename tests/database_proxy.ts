import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

/** A TCP proxy before Postgres: what lies between a relay and its database, and what can go wrong there. */
export interface DatabaseProxy extends AsyncDisposable {
  /** The database's URL, through this proxy. */
  readonly url: string;
  /**
   * Nothing moves and nothing closes any more, on old connections and new ones: as if a firewall swallowed every
   * packet.
   */
  freeze(): void;
  /**
   * Nothing moves and nothing closes any more on the connections that are open now, and new ones are fine: a firewall
   * has forgotten them.
   */
  forget(): void;
  /** Cuts every connection, and every new one as it comes. */
  refuse(): void;
  /** Cuts every new connection as it comes, and leaves those that stand. Resolves when it has done so once. */
  refuseNew(): Promise<void>;
  /** Lets all through again; what was cut or frozen stays so. */
  pass(): void;
  /** New connections go to another server: the database was started again, on another port. */
  moveTo(url: string): void;
  /**
   * Swallows one answer and cuts its connection, once Postgres has done what was asked: the one to the next request
   * that holds this text, or the next that holds it itself. Resolves when that has happened.
   */
  loseAnswer(part: string): Promise<void>;
  /** The same, but the connection stays open and silent, and so do all that are open then. */
  keepAnswer(part: string): Promise<void>;
  /** Keeps such an answer back until it is let go; what else is asked is answered meanwhile. */
  holdAnswer(part: string): HeldAnswer;
  /**
   * Swallows the next request that holds this text, and cuts its connection: Postgres never sees it. Resolves when that
   * has happened.
   */
  loseRequest(part: string): Promise<void>;
}

/** An answer that is kept back: Postgres has done what was asked, and who asked does not know yet. */
export interface HeldAnswer {
  /** Resolves when there is one. */
  readonly reached: Promise<void>;
  /** Lets it through. */
  release(): void;
}

/** ReadyForQuery outside of a transaction: what was asked is committed. */
const READY = "Z\0\0\0\x05I";

/** Starts a proxy before the database of this URL. */
export async function startDatabaseProxy(target: string): Promise<DatabaseProxy> {
  const proxied = new URL(target);
  let { hostname, port } = proxied;
  const sockets = new Set<Socket>();
  const forgotten = new WeakSet<Socket>();
  let mode: "pass" | "freeze" | "refuse" = "pass";
  let refused: (() => void) | undefined;
  let toSwallow: { readonly part: string; readonly lost: () => void } | undefined;
  let toLose:
    | { readonly part: string; readonly until?: Promise<void>; readonly cuts?: boolean; readonly lost: () => void }
    | undefined;

  const forget = (): void => sockets.forEach((socket) => forgotten.add(socket));

  const server = createServer((client) => {
    client.on("error", () => undefined);
    if (mode === "refuse" || refused !== undefined) {
      refused?.();
      return void client.resetAndDestroy();
    }
    const upstream = connect(Number(port), hostname);
    upstream.on("error", () => undefined);
    const pair = [client, upstream];
    for (const socket of pair) sockets.add(socket);
    const cut = (): void => {
      for (const socket of pair) {
        socket.destroy();
        sockets.delete(socket);
      }
    };
    const isSilent = (): boolean => mode === "freeze" || forgotten.has(client);
    let losing: typeof toLose;
    const look = (data: string | Buffer): void => {
      if (toLose === undefined || !data.includes(toLose.part)) return;
      losing = toLose;
      toLose = undefined;
    };
    client.on("data", (data) => {
      if (isSilent()) return;
      if (toSwallow !== undefined && data.includes(toSwallow.part)) {
        cut();
        toSwallow.lost();
        toSwallow = undefined;
        return;
      }
      look(data);
      upstream.write(data);
    });
    upstream.on("data", (data) => {
      if (isSilent()) return;
      look(data);
      // Before the end of an answer come only the types of what was asked for: Postgres writes a small answer in one
      // piece.
      if (losing === undefined || !data.includes(READY)) return void client.write(data);
      losing.lost();
      const { cuts, until } = losing;
      losing = undefined;
      if (until !== undefined) {
        upstream.pause();
        return void until.then(() => (client.write(data), upstream.resume()));
      }
      if (cuts) cut();
      else forget();
    });
    client.on("close", cut);
    upstream.on("close", () => {
      if (!isSilent()) cut();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("Cannot listen: no port was given");
  proxied.hostname = "127.0.0.1";
  proxied.port = String(address.port);

  const refuse = (): void => {
    mode = "refuse";
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: proxied.href,
    freeze: () => void (mode = "freeze"),
    forget,
    refuse,
    refuseNew: () => new Promise((resolve) => refused = resolve),
    pass: () => {
      mode = "pass";
      refused = undefined;
    },
    moveTo: (url) => void ({ hostname, port } = new URL(url)),
    loseAnswer: (part) => new Promise((lost) => toLose = { part, cuts: true, lost }),
    keepAnswer: (part) => new Promise((lost) => toLose = { part, cuts: false, lost }),
    holdAnswer: (part) => {
      const { promise: until, resolve: release } = Promise.withResolvers<void>();
      return { reached: new Promise((lost) => toLose = { part, until, lost }), release };
    },
    loseRequest: (part) => new Promise((lost) => toSwallow = { part, lost }),
    [Symbol.asyncDispose]: async () => {
      refuse();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
