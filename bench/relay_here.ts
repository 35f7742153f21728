import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { openDatabase } from "../relay/database/database.ts";
import { NO_SAFETY } from "../relay/delivery/safety.ts";
import { Journal } from "../relay/journal/journal.ts";
import { createLog } from "../relay/log.ts";
import { Relay } from "../relay/relay.ts";
import { Breaker } from "../relay/routes/breaker.ts";
import { ONLY_ROUTE } from "../relay/routes/routing.ts";
import { createSmtpTransport } from "../relay/smtp/smtp.ts";
import { systemClock } from "../relay/time/clock.ts";

const TIMING = { leaseMs: 120_000, clock: systemClock };
const DAY_MS = 86_400_000;

/** Where a relay works. */
export interface RelayTarget {
  readonly url: string;
  readonly smtpPort: number;
  readonly connections: number;
}

/**
 * Opens a relay in this process, with the settings that `run` has by default. Any warning is an error: a figure must
 * not hide trouble.
 */
export async function openRelay({ url, smtpPort, connections }: RelayTarget): Promise<Relay & AsyncDisposable> {
  const troubles: string[] = [];
  const log = createLog({ write: (line) => troubles.push(line), now: () => Date.now(), level: "warn" });
  const folder = mkdtempSync(join(tmpdir(), "mailchute-bench-journal-"));
  const journal = new Journal(folder, systemClock.after);
  const relay = await Relay.open({
    ...TIMING,
    databases: [await openDatabase({ name: "home", display: "bench", url, pooled: false }, TIMING)],
    routes: [{
      name: "default",
      variable: "SMTP_URL",
      connections,
      breaker: new Breaker(Math.random),
      transport: createSmtpTransport({
        host: "127.0.0.1",
        port: smtpPort,
        tls: "none",
        ehloName: "relay.example",
        connections,
      }),
    }],
    routing: ONLY_ROUTE,
    journal,
    rules: { maxAgeMs: 5 * DAY_MS, maxAttempts: undefined, onUncertain: "retry" },
    safety: NO_SAFETY,
    retention: { messagesMs: 30 * DAY_MS, contentMs: 7 * DAY_MS },
    returnPath: undefined,
    pollMs: 5_000,
    idleMs: undefined,
    graceMs: 25_000,
    instance: randomUUID(),
    host: hostname(),
    pid: process.pid,
    random: Math.random,
    log,
  });
  return Object.assign(relay, {
    async [Symbol.asyncDispose]() {
      await relay.stop();
      journal.close();
      rmSync(folder, { recursive: true, force: true });
      if (troubles.length > 0) throw new Error(`Cannot take the figure: the relay had trouble: ${troubles.join("\n")}`);
    },
  });
}
