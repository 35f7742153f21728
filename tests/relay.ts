import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { openDatabase } from "../relay/database/database.ts";
import { NO_SAFETY, type Safety } from "../relay/delivery/safety.ts";
import { Journal } from "../relay/journal/journal.ts";
import { createLog } from "../relay/log.ts";
import { Relay, type RelayOptions } from "../relay/relay.ts";
import { Breaker, type BreakerRules } from "../relay/routes/breaker.ts";
import type { RoutingRule } from "../relay/routes/routing.ts";
import { parseRates } from "../relay/settings/rates.ts";
import { parseRoutes } from "../relay/settings/routes.ts";
import { createSmtpTransport } from "../relay/smtp/smtp.ts";
import { type Clock, systemClock } from "../relay/time/clock.ts";
import type { TestDatabase } from "./database.ts";

/** What a test may choose of a relay; the rest is as in production, with short waits. */
export interface TestRelayOptions extends
  Partial<
    Pick<
      RelayOptions,
      | "onBounce"
      | "leaseMs"
      | "pollMs"
      | "idleMs"
      | "graceMs"
      | "instance"
      | "maxQueue"
      | "batchFailures"
      | "returnPath"
    >
  > {
  /** The one route. */
  readonly smtpPort?: number;
  /** Several routes: their ports by name. */
  readonly routes?: Readonly<Record<string, number>>;
  /** As in `RELAY_ROUTES`; needed with several routes. */
  readonly rules?: string;
  /** Instead of `rules`: such as no settings make. */
  readonly routing?: readonly RoutingRule[];
  /** Its folder. @default {a new one, removed in the end} */
  readonly journal?: string;
  /** Where its database is. @default {that of its URL} */
  readonly address?: string;
  /** As in `RELAY_RATE`. */
  readonly rate?: string;
  /** Further databases that it serves, by name. */
  readonly others?: Readonly<Record<string, Pick<TestDatabase, "url">>>;
  readonly safety?: Partial<Safety>;
  readonly maxAgeMs?: number;
  readonly maxAttempts?: number;
  readonly onUncertain?: "retry" | "hold";
  readonly connections?: number;
  readonly breaker?: Partial<BreakerRules>;
  readonly clock?: Clock;
  readonly random?: () => number;
}

/** A relay in this process, on a test's database, with real sockets to 127.0.0.1. */
export interface TestRelay extends AsyncDisposable {
  readonly relay: Relay;
  /** What it logged, as JSON lines. */
  readonly lines: readonly string[];
}

/** Opens a relay; `relay.start()` or `relay.runOnce()` is the test's. */
export async function openTestRelay(
  database: Pick<TestDatabase, "url">,
  options: TestRelayOptions,
): Promise<TestRelay> {
  const lines: string[] = [];
  const at = options.address === undefined ? {} : { address: options.address };
  const connections = options.connections ?? 4;
  const folder = options.journal ?? mkdtempSync(join(tmpdir(), "mailchute-journal-"));
  const journal = new Journal(folder, systemClock.after);
  const { clock = systemClock, leaseMs = 120_000 } = options;
  const ports = options.routes ?? { default: options.smtpPort as number };
  const relay = await Relay.open({
    databases: await Promise.all(
      Object.entries({ home: database, ...options.others }).map(([name, { url }]) =>
        openDatabase({ name, display: "test", url, pooled: false, ...(name === "home" && at) }, { leaseMs, clock })
      ),
    ),
    routes: Object.entries(ports).map(([name, port]) => ({
      ...{ name, connections, variable: "SMTP_URL" },
      breaker: new Breaker(() => 0.5, { firstDelayMs: 20, maxDelayMs: 100, ...options.breaker }),
      transport: createSmtpTransport({ host: "127.0.0.1", port, tls: "none", ehloName: "relay.test", connections }),
    })),
    routing: options.routing ?? parseRoutes(options.rules, new Map(Object.keys(ports).map((name) => [name, name]))),
    rules: {
      maxAgeMs: options.maxAgeMs ?? 5 * 86_400_000,
      maxAttempts: options.maxAttempts,
      onUncertain: options.onUncertain ?? "retry",
    },
    safety: { ...NO_SAFETY, ...options.safety },
    journal,
    retention: { messagesMs: 30 * 86_400_000, contentMs: 7 * 86_400_000 },
    maxQueue: options.maxQueue,
    onBounce: options.onBounce,
    batchFailures: options.batchFailures,
    limits: parseRates(options.rate, new Map(Object.keys(ports).map((name) => [name, name]))),
    returnPath: options.returnPath,
    leaseMs,
    pollMs: options.pollMs ?? 5_000,
    idleMs: options.idleMs,
    graceMs: options.graceMs ?? 5_000,
    instance: options.instance ?? randomUUID(),
    host: hostname(),
    pid: process.pid,
    clock,
    random: options.random ?? (() => 0.5),
    log: createLog({ write: (line) => lines.push(line), now: () => clock.now(), level: "debug" }),
  });
  return {
    relay,
    lines,
    async [Symbol.asyncDispose]() {
      await relay.stop();
      journal.close();
      if (options.journal === undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Enqueues as the superuser, by the same function that the client calls. @returns the id */
export async function enqueue(
  database: TestDatabase,
  request: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const full = {
    from: "Shop <shop@example.com>",
    to: "ann@example.com",
    subject: "Hello",
    text: "Hello Ann",
    ...request,
  };
  const [row] = await database.sql`select mailchute.send(${JSON.stringify(full)}::text::jsonb) as id`;
  return row?.id as string;
}

/** Enqueues many small mails, to u1@example.com, u2@example.com, …, in one statement. */
export async function enqueueMany(database: TestDatabase, count: number, domain = "example.com"): Promise<void> {
  await database.sql`
    select count(mailchute.send(jsonb_build_object(
      'from', 'shop@example.com', 'to', 'u' || i || '@' || ${domain}::text, 'subject', 'Nr. ' || i, 'text', 'Hello')))
    from generate_series(1, ${count}) i`;
}

/** The state of a message as `mail.get(id)` tells it. */
export interface Described {
  readonly state: string;
  readonly nextAttemptAt?: string;
  readonly recipients: readonly {
    readonly address: string;
    readonly state: string;
    readonly code?: number;
    readonly enhanced?: string;
    readonly reason?: string;
  }[];
  readonly attempts: readonly {
    readonly number: number;
    readonly address: string;
    readonly outcome: string;
    readonly phase: string;
    readonly route?: string;
    readonly code?: number;
    readonly reply: string;
  }[];
}

/** Reads the state of a message. */
export async function describeMessage(database: TestDatabase, id: string): Promise<Described> {
  const [row] = await database.sql`select mailchute.status_v1(${id}) as message`;
  return row?.message as Described;
}

/** Makes every waiting message due now, as time would. */
export async function makeDue(database: TestDatabase): Promise<void> {
  await database.sql`update mailchute.queue set due = now() where leased_by is null and due < 'infinity'`;
  await database.sql`notify mailchute`;
}

/**
 * Between two questions: without it, who waits takes a processor and a half from those it waits for. Who has waited for
 * long can wait on.
 */
const BETWEEN_MS = { first: 4, growth: 1.15, last: 25 } as const;

/**
 * Resolves when a question to the database is answered with yes: it has no event for it, so it is asked again and
 * again.
 */
export async function until(condition: () => Promise<boolean>, what: string, timeoutMs = 15_000): Promise<void> {
  const end = Date.now() + timeoutMs;
  let betweenMs: number = BETWEEN_MS.first;
  while (!await condition()) {
    if (Date.now() > end) throw new Error(`Still not so after ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => void systemClock.after(betweenMs, () => resolve(undefined)));
    betweenMs = Math.min(betweenMs * BETWEEN_MS.growth, BETWEEN_MS.last);
  }
}
