import { readdirSync } from "node:fs";
import type { Delivery } from "../../relay/delivery/transport.ts";
import { type Connector, openSocket, socketsWith } from "../../relay/smtp/connection.ts";
import { createSmtpTransport } from "../../relay/smtp/smtp.ts";
import { RUNTIME_TIMERS, type Timers } from "../../relay/smtp/timers.ts";
import { type AcceptedMail, startScriptedServer, TEST_AUTHORITY } from "../scripted_server.ts";
import { envelopeTo, ManualTimers, NEVER, outcomesOf } from "../smtp/setup.ts";
import { ANN, contentOf, messageId, onTheWire, type TransportFault } from "./fault.ts";
import { RunLab } from "./lab.ts";
import { watchLoop } from "./loop_watch.ts";

/** What came out of a fault. */
export interface Observed {
  /** For each mail. */
  readonly outcomes: readonly string[];
  /** What the client said on each connection, line by line. */
  readonly said: readonly (readonly string[])[];
  /** Where the server's ledger and the client's report differ, one sentence each; none when all is well. */
  readonly disagreements: readonly string[];
  /** What was open after `close` and not before: connections, descriptors, timers. */
  readonly left: { readonly connections: number; readonly descriptors: number; readonly timers: number };
  /** The longest time that the event loop stood still. */
  readonly blockedMs: number;
}

/** Runs a fault against our transport. */
export async function runFault(fault: TransportFault): Promise<Observed> {
  const before = countDescriptors();
  const clock = fault.passes === true ? new ManualTimers() : RUNTIME_TIMERS;
  const timers = new CountedTimers(clock);
  const lab = new RunLab((callback, delayMs) => clock.start(callback, delayMs));
  const server = await startScriptedServer(fault.server?.(lab));
  lab.server = server;
  if (fault.way === "refused") await server.close();
  const transport = createSmtpTransport({
    host: typeof fault.way === "object" ? fault.way.host : "127.0.0.1",
    port: server.port,
    tls: "none",
    ehloName: "relay.example",
    ca: TEST_AUTHORITY.ca,
    connections: 1,
    ...fault.client,
  }, { connector: connectorOf(fault, () => lab.begin()), timers });

  const { mails = [[ANN]] } = fault;
  const contents = mails.map((_, number) => new TextEncoder().encode(contentOf(fault, number)));
  const send = (number: number): Promise<Delivery> =>
    transport.send(envelopeTo(...mails[number] ?? []), contents[number] ?? new Uint8Array(0), NEVER);
  const work = async (): Promise<readonly Delivery[]> => {
    const deliveries: Delivery[] = [];
    if (fault.isTogether === true) deliveries.push(...await Promise.all(mails.map((_, number) => send(number))));
    else {
      for (const number of mails.keys()) {
        if (number > 0) await fault.between?.(lab);
        deliveries.push(await send(number));
      }
    }
    await transport.close();
    return deliveries;
  };

  const watch = watchLoop();
  const working = work();
  if (clock instanceof ManualTimers) {
    await Promise.race([lab.begun, working]);
    await passTime(clock, working);
  }
  const deliveries = await working;
  const connections = transport.openConnections();
  const left = timers.count;
  await server.close();
  const descriptors = await settledDescriptors(before);
  return {
    outcomes: deliveries.map(outcomesIn),
    said: server.transcripts.map(({ client }) => linesOf(client, contents)),
    disagreements: disagreementsOf(fault, deliveries, server.mails),
    left: { connections, descriptors: Math.max(0, descriptors - before), timers: left },
    blockedMs: watch.stop(),
  };
}

/** A delivery in one line: `kind phase blame code` of each recipient, or `untried code phase reply`. */
export function outcomesIn(delivery: Delivery): string {
  if (delivery.kind === "attempted") return outcomesOf(delivery).join(", ");
  const { code, phase, reply } = delivery.trouble;
  return `untried ${code} ${phase}${reply === undefined ? "" : ` ${reply.code}`}`;
}

/** What the server has said 250 to, against what the client reports. */
function disagreementsOf(
  fault: TransportFault,
  deliveries: readonly Delivery[],
  ledger: readonly AcceptedMail[],
): readonly string[] {
  return deliveries.flatMap((delivery, number) =>
    (fault.mails ?? [[ANN]])[number]?.flatMap((address, position) => {
      const copies = ledger.filter(({ content, recipients }) =>
        content.includes(messageId(number)) && recipients.includes(onTheWire(address))
      ).length;
      const outcome = delivery.kind === "attempted"
        ? delivery.outcomes.find((each) =>
          each.position === position
        )?.kind
        : "untried";
      const mayHave = outcome === "uncertain" && fault.mayRepeat === true;
      const isRight = outcome === "sent" ? copies === 1 : mayHave ? copies <= 1 : copies === 0;
      return isRight ? [] : [`mail ${number} to ${address} is ${outcome}, and ${copies} times in the ledger`];
    }) ?? []
  );
}

function linesOf(client: string, contents: readonly Uint8Array[]): readonly string[] {
  let text = client;
  for (const content of contents) text = text.replaceAll(Buffer.from(content).toString("latin1"), "(content)\r\n");
  return text.split("\r\n").filter((line, index, lines) => line !== "" || index < lines.length - 1);
}

function connectorOf(fault: TransportFault, begin: () => void): Connector {
  if (typeof fault.way === "object") {
    const { lookup } = fault.way;
    return socketsWith((host, options, done) => {
      begin();
      lookup(host, options, done);
    });
  }
  if (fault.way !== "black hole") return openSocket;
  return () => {
    begin();
    const nothing = (): undefined => undefined;
    return {
      isStarved: false,
      tlsFacts: nothing,
      write: nothing,
      stream: nothing,
      flush: nothing,
      startTls: nothing,
      close: nothing,
    };
  };
}

/** The timers of one user of a clock, counted. */
class CountedTimers implements Timers {
  readonly #clock: Timers;
  readonly #running = new Set<object>();

  constructor(clock: Timers) {
    this.#clock = clock;
  }

  get count(): number {
    return this.#running.size;
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  start(callback: () => void, delayMs: number): { readonly of: unknown } {
    const timer = {
      of: this.#clock.start(() => {
        this.#running.delete(timer);
        callback();
      }, delayMs),
    };
    this.#running.add(timer);
    return timer;
  }

  stop(timer: { readonly of: unknown }): void {
    this.#running.delete(timer);
    this.#clock.stop(timer.of);
  }
}

const LONGEST_TURNS = 10_000;

/** Lets a second pass with each turn of the event loop until the work is done. */
async function passTime(timers: ManualTimers, work: Promise<unknown>): Promise<void> {
  let isDone = false;
  void work.catch(() => undefined).finally(() => (isDone = true));
  for (let turns = 0; !isDone; turns++) {
    if (turns === LONGEST_TURNS) throw new Error(`Not done after ${LONGEST_TURNS} seconds of the test's clock`);
    timers.advance(1_000);
    await new Promise(setImmediate);
  }
}

/** How many files, sockets and the like this process has open. */
export function countDescriptors(): number {
  return readdirSync("/dev/fd").length;
}

/** The longest wait for what is being closed: the end of a process, on a busy machine. */
const SETTLED_MS = 5_000;

/** The same once what is being closed is closed. */
export async function settledDescriptors(wanted: number): Promise<number> {
  const end = performance.now() + SETTLED_MS;
  while (countDescriptors() > wanted && performance.now() < end) await new Promise(setImmediate);
  return countDescriptors();
}
