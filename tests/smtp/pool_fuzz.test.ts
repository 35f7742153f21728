import { expect, test } from "bun:test";
import type { Delivery, MailContent } from "../../relay/delivery/transport.ts";
import { createSmtpTransport } from "../../relay/smtp/smtp.ts";
import { ModelNetwork } from "./model_network.ts";
import { ManualTimers } from "./setup.ts";

const OFFERS = [["PIPELINING", "CHUNKING"], ["PIPELINING"], ["PIPELINING", "CHUNKING", "DSN", "SIZE 90000"], []];
const DOMAINS = ["one.example", "two.example", "three.example"];
const LARGE = `${"x".repeat(998)}\r\n`.repeat(70);

function chances(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

interface Sent {
  readonly id: string;
  readonly recipients: readonly string[];
  result: Delivery | "rejected" | undefined;
  answers: number;
}

/** One run: mails are sent, things happen, and then the bad times end. */
async function run(seed: number): Promise<void> {
  const random = chances(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  const connections = 1 + below(6);
  const connectionsPerDomain = random() < 0.3 ? 1 + below(2) : undefined;
  const network = new ModelNetwork({
    random,
    offer: OFFERS[below(OFFERS.length)] ?? [],
    isChunkingBroken: random() < 0.2,
    most: random() < 0.3 ? 1 + below(3) : Infinity,
  });
  const timers = new ManualTimers();
  const transport = createSmtpTransport({
    host: "model.example",
    port: 25,
    tls: "none",
    ehloName: "relay.example",
    connections,
    connectionsPerDomain,
    recipientsPerTransaction: 3,
    maxMailsPerConnection: 1 + below(8),
    maxConnectionAgeMs: 60_000,
  }, { connector: network.connector, timers });
  const sent: Sent[] = [];
  const stuck: (() => void)[] = [];
  const signals = [new AbortController(), new AbortController()];

  const contentOf = (id: string): MailContent => {
    if (random() < 0.7) return new TextEncoder().encode(`Subject: ${id}\r\n\r\n.\r\nend\r\n`);
    const text = `Subject: ${id}\r\n\r\n.\r\n${LARGE}end\r\n`;
    const fate = random();
    return {
      sizeBytes: text.length,
      needsSmtpUtf8: false,
      opening: new TextEncoder().encode(text.slice(0, 1_000)),
      async *chunks() {
        yield new TextEncoder().encode(text.slice(0, 40_000));
        if (network.faults > 0 && fate < 0.1) throw new Error("The content cannot be read");
        if (fate < 0.3) await new Promise<void>((resolve) => stuck.push(resolve));
        yield new TextEncoder().encode(text.slice(40_000));
      },
    };
  };
  const send = (): void => {
    const id = `m${sent.length}`;
    const recipients = Array.from(
      { length: random() < 0.7 ? 1 : 1 + below(5) },
      (_, at) => `${id}.${at}@${DOMAINS[below(DOMAINS.length)]}`,
    );
    const mail: Sent = { id, recipients, result: undefined, answers: 0 };
    sent.push(mail);
    const envelope = {
      reversePath: `${id}@sender.example`,
      recipients: recipients.map((email, position) => ({ position, email })),
    };
    const { signal } = signals[below(signals.length)] as AbortController;
    const settle = (result: Delivery | "rejected"): void => {
      mail.answers++;
      mail.result = result;
    };
    transport.send(envelope, contentOf(id), signal).then(settle, (error: unknown) => {
      // Nothing but a content that could not be read may be an error.
      if (/content/i.test(String(error))) settle("rejected");
      else network.violations.push(String(error));
    });
  };
  const look = (): void => {
    if (network.violations.length > 0) throw new Error(network.violations.join());
    const open = [...network.servers].filter(({ isLeft }) => !isLeft);
    if (open.length > connections) throw new Error(`${open.length} connections`);
    for (const domain of connectionsPerDomain === undefined ? [] : DOMAINS) {
      const busy = open.filter(({ recipients }) => recipients.some((email) => email.endsWith(domain)));
      if (busy.length > (connectionsPerDomain ?? 0)) throw new Error(`${busy.length} connections for ${domain}`);
    }
  };
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  const rate = random() < 0.5 ? 0.06 : 0.01;
  network.faults = [0, 0.01, 0.05, 0.2][below(4)] ?? 0;
  for (let step = 0; step < 600; step++) {
    const die = random();
    if (die < rate) { for (let count = 1 + below(6); count > 0; count--) send(); }
    else if (die < 0.08 && die > 0.06) timers.advance([1, 50, 1_001, 19_000, 20_000, 300_000][below(6)] ?? 0);
    else if (die < 0.085) [...network.servers][0]?.hangUp(random() < 0.5);
    else if (die < 0.1) stuck.shift()?.();
    else if (die < 0.101) signals[0]?.abort();
    else if (!network.step()) timers.advance(1);
    look();
    if (step % 4 === 0) await turn();
  }
  network.faults = 0;
  const end = random();
  const closed = end < 0.3 ? transport.close() : undefined;
  if (end > 0.8) transport.abort();
  // Time passes only when nothing else happens.
  for (let round = 0, quiet = 0; sent.some(({ result }) => result === undefined); round++, quiet++) {
    if (round === 3_000) {
      throw new Error(`No answer for ${sent.filter(({ result }) => result === undefined).length} mails`);
    }
    for (const free of stuck.splice(0)) {
      free();
      quiet = 0;
    }
    for (; network.step(); quiet = 0) look();
    await turn();
    if (quiet >= 3) timers.advance(30_000);
  }
  judge(sent, network);
  const ended = closed ?? transport.close();
  for (let round = 0; network.step() || round < 4; round++) timers.advance(1_000);
  await ended;
  expect(timers.count).toBe(0);
  expect(transport.openConnections()).toBe(0);
}

/** What was said of each recipient, against what the servers know. */
function judge(sent: readonly Sent[], network: ModelNetwork): void {
  for (const { id, recipients, result, answers } of sent) {
    expect(answers).toBe(1);
    if (result === undefined) throw new Error(`No answer for ${id}`);
    const taken = network.taken.filter((mail) => mail.id === id).flatMap((mail) => mail.recipients);
    if (result === "rejected" || result.kind === "unavailable") {
      if (taken.length > 0) throw new Error(`${id} was taken, and is said to be untried`);
      continue;
    }
    expect(result.outcomes.map(({ position }) => position)).toEqual(recipients.map((_, position) => position));
    for (const { position, kind } of result.outcomes) {
      const copies = taken.filter((email) => email === recipients[position]).length;
      const isRight = kind === "sent" ? copies === 1 : kind === "uncertain" ? copies <= 1 : copies === 0;
      if (!isRight) throw new Error(`${id}.${position} is said to be ${kind}, and was taken ${copies} times`);
    }
  }
}

// For a longer hunt: FUZZ_FROM=1000 FUZZ_COUNT=20000.
const FROM = Number(process.env.FUZZ_FROM ?? 1);
const COUNT = Number(process.env.FUZZ_COUNT ?? 150);

test("whatever servers do, each mail gets one answer, and it is what the servers know of it", async () => {
  for (let seed = FROM; seed < FROM + COUNT; seed++) {
    await run(seed).catch((error: unknown) => {
      throw new Error(`Seed ${seed}: ${error instanceof Error ? error.message : error}`, { cause: error });
    });
  }
}, 120_000);
