import postgres, { type Sql } from "postgres";
import { createMailer } from "../../src/client.ts";
import { createDatabase } from "../database.ts";
import { addressOf } from "../../relay/place/place.ts";
import { prng } from "../mime/prng.ts";
import { startDatabaseProxy } from "../database_proxy.ts";
import { openTestRelay } from "../relay.ts";
import { type Answer, startScriptedServer } from "../scripted_server.ts";
import { checkCopies, checkRows } from "./mix_checks.ts";
import { type MixWorld, OPERATIONS } from "./mix_operations.ts";
import { drainAsWorker } from "./mix_worker.ts";
import { becomes } from "./pause.ts";

// DESIGN: all that apps and operators can do, by many at once, on the same few mails, addresses, tags and batches,
// while two relays send. Nothing is killed (that is run_history's): what is looked for is two operations that meet.
// When all is quiet, rows, copies and answers must fit each other.

/** One run. */
export interface MixOptions {
  /** Decides who does what; when, the machine does. */
  readonly seed: number;
  readonly lastsMs: number;
  /** Connections that do something at the same time. @default {8} */
  readonly workers?: number;
}

/** What came out. */
export interface MixRun {
  readonly seed: number;
  readonly findings: readonly string[];
  readonly mails: number;
  readonly copies: number;
}

const QUIET_MS = 60_000;
/** What a lost answer leaves is taken up again within the run. */
const LEASE_MS = 12_000;
/** Times are taken in one process, but not at one instant. */
const SLACK_MS = 50;

/** Lets all be done at once, waits until it is quiet, and looks what does not fit. */
export async function runMix({ seed, lastsMs, workers = 8 }: MixOptions): Promise<MixRun> {
  await using database = await createDatabase();
  const { sql } = database;
  const chance = prng(seed);
  await using proxy = await startDatabaseProxy(database.url);
  const shared: Omit<MixWorld, "sql" | "mail" | "drain"> = {
    proxy,
    chance,
    mails: [],
    taken: new Map(),
    canceledMs: new Map(),
    retried: new Set(),
  };
  const findings: string[] = [];
  const mailsOfToken = new Map<string, Set<string>>();
  let isOver = false;
  const answers: readonly Answer[] = ["451 4.3.0 later", "554 5.6.0 no", { acceptAndClose: true }, {
    close: undefined,
  }];
  await using server = await startScriptedServer({
    on: {
      rcpt: () => !isOver && chance.int(30) === 0 ? "450 4.2.1 busy" : undefined,
      content: (content) => {
        const answer = isOver ? undefined : answers[chance.int(80)];
        const isTaken = answer === undefined || typeof answer === "object" && "acceptAndClose" in answer;
        const id = messageIdOf(content);
        if (isTaken) shared.taken.set(id, Date.now());
        for (const [, token] of isTaken ? content.matchAll(/token-(t\d+)\./g) : []) {
          mailsOfToken.set(token as string, (mailsOfToken.get(token as string) ?? new Set()).add(id));
        }
        return answer;
      },
    },
  });
  const common = {
    ...{ smtpPort: server.port, pollMs: 200, leaseMs: LEASE_MS },
    // With limits a claim is another one, and mail waits in another way.
    ...(seed % 2 === 0 ? { rate: "domain:b.example=40/s" } : {}),
  };
  const relays = await Promise.all(
    [{ ...database, url: proxy.url, address: addressOf(database.url) }, database].map((its) =>
      openTestRelay(its, { ...common, ...("address" in its ? { address: its.address } : {}) })
    ),
  );
  for (const { relay } of relays) relay.start();
  const endMs = Date.now() + lastsMs;
  const bag = OPERATIONS.flatMap(([times, operation]) => Array.from({ length: times }, () => operation));
  await Promise.all(Array.from({ length: workers }, async () => {
    const own = postgres(database.url, { max: 1, onnotice: () => {} });
    const drain = () => drainAsWorker(own, { smtpPort: server.port, address: addressOf(database.url) });
    const world: MixWorld = { ...shared, sql: own, mail: createMailer(own), drain };
    while (Date.now() < endMs) {
      const operation = bag[chance.int(bag.length)] as typeof bag[number];
      await operation(world).catch((error) => findings.push(`${operation.name} failed: ${tell(error)}`));
    }
    await own.end({ timeout: 1 });
  }));

  isOver = true;
  if (!await becomes(() => isQuiet(sql), QUIET_MS)) findings.push("the queue was not empty when the time was over");
  for (const running of relays) await running[Symbol.asyncDispose]();
  for (const line of relays.flatMap(({ lines }) => lines)) {
    // Its answers were lost on purpose.
    if (JSON.parse(line).level >= 50 && JSON.parse(line).msg !== "database does not answer") {
      findings.push(`a relay said ${line}`);
    }
  }
  const copies = server.mails.flatMap(({ content, recipients }) =>
    recipients.map((email) => ({ id: messageIdOf(content), email }))
  );
  findings.push(...await checkRows(sql), ...await checkCopies(sql, copies));
  for (const { token, id, isCommitted } of shared.mails) {
    const into = mailsOfToken.get(token) ?? new Set();
    if (!isCommitted && into.size > 0) findings.push(`${token} was rolled back and sent`);
    if (into.size > 1 && !shared.retried.has(id)) findings.push(`${token} was sent in ${[...into].join(" and ")}`);
    const canceledMs = shared.retried.has(id) ? undefined : shared.canceledMs.get(id);
    const isLate = canceledMs !== undefined && (shared.taken.get(id) ?? 0) > canceledMs + SLACK_MS;
    if (isLate) findings.push(`${token} was sent after it was canceled`);
  }
  return { seed, findings, mails: shared.mails.length, copies: copies.length };
}

/** Lets pass the time that what was deferred waits for. @returns whether all has ended, or is held */
async function isQuiet(sql: Sql): Promise<boolean> {
  await sql`delete from mailchute.pause`;
  await sql`update mailchute.queue set due = now() where seq = any (array(
    select seq from mailchute.queue where leased_by is null and attempts > 0 and due < 'infinity' and throttle is null for update skip locked))`;
  await sql`select pg_notify('mailchute', ''), pg_notify('mailchute_pause', '')`;
  const [row] = await sql`
    select exists (select from mailchute.queue where due < 'infinity') or exists (
      select from mailchute.digest_item i join mailchute.queue q on q.seq = i.seq where i.digest is null) as "isBusy"`;
  return row?.isBusy === false;
}

function messageIdOf(content: string): string {
  return /^Message-ID: <([\da-f-]{36})/m.exec(content)?.[1] ?? "";
}

function tell(error: unknown): string {
  const { message, code, cause } = error as { message: string; code?: string; cause?: { message?: string } };
  return [code, message, cause?.message].filter((part) => part !== undefined).join(" ");
}
