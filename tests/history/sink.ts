import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { freePorts } from "../port.ts";
import { faultOf } from "./mail_fault.ts";
import type { RelayName, SmtpOutage } from "./schedule.ts";
import { SinkDialogue } from "./sink_dialogue.ts";

/** One mail that was read up to its final dot. */
export interface Copy {
  readonly token: string;
  /** Who brought it, over which connection, and how often the mail had been begun (MAIL) by then. */
  readonly relay: RelayName;
  readonly connection: number;
  readonly time: number;
  readonly messageId: string;
  /** A hash of its bytes. */
  readonly content: string;
  /** To whom, of those that were accepted. */
  readonly recipients: readonly string[];
  /** Its final dot was read. */
  readonly receivedMs: number;
  /** What was said to the final dot; undefined: nothing. */
  answer: { readonly code: number; readonly atMs: number } | undefined;
}

/** An SMTP server that notes all that it reads whole, and misbehaves by the seed. */
export interface Sink extends AsyncDisposable {
  readonly ports: Readonly<Record<RelayName, number>>;
  readonly copies: readonly Copy[];
  /** Ends all connections, and is away until `back`. */
  away(how: SmtpOutage): void;
  back(): void;
  /** From now on every mail is taken, and at once. */
  behave(): void;
  /** Resolves when so many mails have been received whole. */
  whenCopies(count: number): Promise<void>;
}

/**
 * Starts the server, with a port for each relay.
 *
 * @param seed undefined: it takes every mail
 * @param lagMs how long it thinks about each
 */
export async function startSink(seed: number | undefined, lagMs = 0): Promise<Sink> {
  const copies: Copy[] = [];
  const begun = new Map<string, number>();
  const sockets = new Set<Socket>();
  const waiting = new Set<{ readonly count: number; readonly resolve: () => void }>();
  let connections = 0;
  let outage: SmtpOutage | undefined;
  let behaves = false;

  const serve = (relay: RelayName) => (socket: Socket) => {
    socket.on("error", () => undefined);
    socket.setNoDelay(true);
    if (outage === "reset") return void socket.resetAndDestroy();
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    if (outage === "shut_down") return void socket.end("421 4.3.2 shutting down\r\n");
    const connection = ++connections;
    const dialogue = new SinkDialogue(socket, {
      begin(token) {
        const time = (begun.get(token) ?? 0) + 1;
        begun.set(token, time);
        if (behaves) return { time, fault: undefined, lagMs: 0 };
        return { time, fault: seed === undefined ? undefined : faultOf(seed, token, time), lagMs };
      },
      received(mail) {
        const copy: Copy = { ...mail, relay, connection, receivedMs: Date.now(), answer: undefined };
        copies.push(copy);
        for (const waiter of waiting) if (copies.length >= waiter.count) waiter.resolve();
        return (code) => void (copy.answer = { code, atMs: Date.now() });
      },
    });
    socket.on("data", (bytes) => dialogue.read(bytes.toString("latin1")));
  };

  const [a, b] = await freePorts(2) as [number, number];
  const ports = { a, b };
  let servers: readonly Server[] = [];
  const listen = async () => {
    servers = (["a", "b"] as const).map((relay) => createServer(serve(relay)).listen(ports[relay], "127.0.0.1"));
    await Promise.all(servers.map((server) => once(server, "listening")));
  };
  const close = () => {
    for (const server of servers) server.close();
    servers = [];
  };
  await listen();

  return {
    ports,
    copies,
    away(how) {
      outage = how;
      if (how === "refuse") close();
      for (const socket of sockets) socket.resetAndDestroy();
    },
    back() {
      if (outage === "refuse") void listen();
      outage = undefined;
    },
    behave: () => void (behaves = true),
    whenCopies: (count) =>
      new Promise((done) => {
        if (copies.length >= count) return done();
        const waiter = { count, resolve: () => (waiting.delete(waiter), done()) };
        waiting.add(waiter);
      }),
    [Symbol.asyncDispose]: async () => {
      const closed = servers.map((server) => once(server, "close"));
      close();
      for (const socket of sockets) socket.destroy();
      await Promise.all(closed);
    },
  };
}
