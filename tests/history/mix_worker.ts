import { randomUUID } from "node:crypto";
import type { Sql } from "postgres";
import { createLog } from "../../relay/log.ts";
import { parseRoutes } from "../../relay/settings/routes.ts";
import { createSmtpTransport } from "../../relay/smtp/smtp.ts";
import { systemClock } from "../../relay/time/clock.ts";
import { drainQueue, type DrainReport } from "../../worker/drain_queue.ts";

const INSTANCE = randomUUID();

/** One run of a Worker over a database, in this process; what it holds, and how it drains, are its own. */
export async function drainAsWorker(
  sql: Sql,
  { smtpPort, address }: { readonly smtpPort: number; readonly address: string },
): Promise<DrainReport> {
  return await drainQueue({
    ...{ statements: sql, display: "test", address, instance: INSTANCE, name: "mix", returnPath: undefined },
    ...{ deadlineMs: 1_000, leaseMs: 12_000, batch: 5, maxMessages: 20, restMs: 1_000 },
    ...{
      clock: systemClock,
      random: () => 0.5,
      maxBytes: 1_000_000,
      routing: parseRoutes(undefined, new Map([["worker", "worker"]])),
    },
    transport: createSmtpTransport({
      ...{ host: "127.0.0.1", port: smtpPort, tls: "none", ehloName: "worker.test", connections: 1 },
    }),
    rules: { maxAgeMs: 5 * 86_400_000, maxAttempts: undefined, onUncertain: "retry" },
    log: createLog({ write: () => {}, now: () => Date.now(), level: "error" }),
  });
}
