import type { Sql } from "postgres";
import { purge } from "../../relay/database/retention.ts";
import { beginPause, endPause } from "../../relay/limits/pause_table.ts";
import { noteFeedback } from "../../relay/mail/feedback_table.ts";
import type { Mailer } from "../../src/mailer.ts";
import type { DatabaseProxy } from "../database_proxy.ts";
import type { Prng } from "../mime/prng.ts";
import { pause } from "./pause.ts";

/** A mail as its app knows it. */
export interface MixMail {
  /** Stands in its text. */
  readonly token: string;
  readonly id: string;
  readonly isCommitted: boolean;
}

/** What an operation is given, and what it notes. */
export interface MixWorld {
  /** One connection of an app. */
  readonly sql: Sql;
  readonly mail: Mailer;
  readonly chance: Prng;
  readonly mails: MixMail[];
  /** When the server has taken a mail last, by its id. */
  readonly taken: Map<string, number>;
  /** When an app was told that a mail is taken back, by its id. */
  readonly canceledMs: Map<string, number>;
  /** Those that a person has had tried again. */
  readonly retried: Set<string>;
  /** What lies between one of the relays and the database. */
  readonly proxy: Pick<DatabaseProxy, "holdAnswer" | "loseAnswer" | "loseRequest">;
  /** Lets a Worker drain the queue. */
  readonly drain: () => Promise<unknown>;
}

/** One of the last mails: what is done with it meets what relays do. */
function recent({ mails, chance }: MixWorld): MixMail | undefined {
  return mails.filter(({ isCommitted }) => isCommitted).at(-1 - chance.int(4));
}

/** Does something in a transaction that may be held open, and may be rolled back. @returns whether it was committed */
async function inTransaction({ sql, chance }: MixWorld, work: (tx: Sql) => Promise<void>): Promise<boolean> {
  const rollsBack = chance.int(5) === 0;
  const rolledBack = new Error("The app changed its mind");
  const holdsMs = chance.pick([0, 0, 100]);
  try {
    await sql.begin(async (tx) => {
      await work(tx as unknown as Sql);
      await pause(holdsMs);
      if (rollsBack) throw rolledBack;
    });
    return true;
  } catch (error) {
    if (error === rolledBack) return false;
    throw error;
  }
}

const MONTH_MS = 30 * 86_400_000;

let tokens = 0;

async function send(world: MixWorld): Promise<void> {
  const { mail, chance: { int, pick }, mails } = world;
  const token = `t${++tokens}`;
  const isItem = int(3) === 0;
  const message = {
    ...{ from: "Shop <shop@example.com>", subject: token, text: `token-${token}.`, tags: [`tag${int(2)}`] },
    to: isItem
      ? `digest${int(3)}@example.com`
      : [...new Set(Array.from({ length: pick([1, 1, 3]) }, () => `u${int(30)}@${pick(["a.example", "b.example"])}`))],
    ...(isItem
      ? { digest: pick([{ key: "k", wait: "1s" }, { key: "k", wait: "1s", debounce: true, atMost: "2s" }]) }
      : {}),
    ...(isItem || int(6) > 0 ? {} : { scheduledAt: new Date(Date.now() + int(1_000)) }),
    ...(int(5) === 0 ? { stream: "news", priority: "high" as const } : {}),
    ...(int(8) === 0 ? { onUncertain: "hold" as const } : {}),
  };
  const key = { idempotencyKey: token };
  let id = "";
  const isCommitted = await inTransaction(
    world,
    async (tx) => void ({ id } = await mail.send(message, { ...key, tx })),
  );
  if (isCommitted && (await mail.send(message, key)).id !== id) throw new Error(`${token} has a second mail`);
  mails.push({ token, id, isCommitted });
}

async function sendMany({ mail, chance: { int } }: MixWorld): Promise<void> {
  const readers = Array.from({ length: 60 }, (_, number) => ({ to: `reader${number + int(2)}@b.example` }));
  const unique = [...new Map(readers.map((reader) => [reader.to, reader])).values()];
  const template = { from: "Shop <shop@example.com>", subject: "News", text: "News", tags: ["tag0"] };
  await mail.sendMany(template, unique, { batch: `batch${int(3)}` });
}

async function cancel(world: MixWorld): Promise<void> {
  const { mail, canceledMs } = world;
  const id = recent(world)?.id;
  if (id !== undefined && await mail.cancel(id) === "canceled") canceledMs.set(id, Date.now());
}

async function cancelMany(world: MixWorld): Promise<void> {
  const { mail, chance: { int } } = world;
  const which = int(2) === 0 ? { tag: `tag${int(2)}` } : { batch: `batch${int(3)}` };
  await inTransaction(world, async (tx) => void await mail.cancel<typeof which>(which, { tx }));
}

async function reschedule(world: MixWorld): Promise<void> {
  const id = recent(world)?.id;
  if (id === undefined) return;
  const at = new Date(Date.now() + world.chance.pick([0, 0, 100, 500]));
  // An item has its window.
  await world.mail.reschedule(id, at).catch((error) => {
    if (error.code !== "validation_error") throw error;
  });
}

async function suppress({ mail, chance: { int } }: MixWorld): Promise<void> {
  const address = int(2) === 0 ? `digest${int(3)}@example.com` : `u${int(30)}@a.example`;
  if (int(3) === 0) await mail.suppressions.add(address);
  else await mail.suppressions.remove(address);
}

async function retry(world: MixWorld): Promise<void> {
  const id = recent(world)?.id;
  if (id === undefined) return;
  world.retried.add(id);
  await world.sql`select mailchute.retry_message(seq, true) from mailchute.message where id = ${id}`;
}

/** As soon as they have ended, or wait: in the moment in which their relay writes that. */
async function retryWhatEnds(world: MixWorld): Promise<void> {
  const { sql, retried } = world;
  const rows = await sql`
    select m.seq, m.id::text from mailchute.recipient r join mailchute.message m on m.seq = r.seq
    where r.state in ('deferred', 'bounced', 'held') order by r.changed_at desc limit 2`;
  for (const { seq, id } of rows) {
    retried.add(id as string);
    await sql`select mailchute.retry_message(${seq}, true)`;
  }
}

async function keepBack({ sql, chance: { int, pick } }: MixWorld): Promise<void> {
  const [batch] = await sql`select id::text from mailchute.batch where name = ${`batch${int(3)}`}`;
  const own = batch === undefined ? [] : [`batch=${batch.id}`];
  const key = pick(["all", "stream=news", "stream=news", "domain=b.example", "domain=b.example", ...own]);
  await beginPause(sql, { key, reason: undefined });
  await pause(200);
  await endPause(sql, key);
}

async function purgeContent({ sql }: MixWorld): Promise<void> {
  await purge(sql, { messagesMs: MONTH_MS, contentMs: 500 });
}

/** A report of a mail to one that the server has just taken; while that is not on record, it is to come again. */
async function comesBack(world: MixWorld): Promise<void> {
  const id = [...world.taken.keys()].at(-1 - world.chance.int(3));
  if (id === undefined) return;
  const report = {
    kind: "bounced",
    addresses: [],
    code: 550,
    enhanced: "5.2.2",
    reply: "full",
    reporter: "mx",
  } as const;
  await noteFeedback(world.sql, { ids: [id], reports: [report] }, undefined).catch((error) => {
    if (error.code !== "55006") throw error;
  });
}

/** What each of these is in: a claim's answer, a settlement, and what is given back. */
const PARTS = ["@", '"ends"', '"delay"'] as const;

/** The database has done what a relay asked, and its answer takes a while. */
async function answersLate({ proxy, chance: { int, pick } }: MixWorld): Promise<void> {
  const answer = proxy.holdAnswer(pick(PARTS));
  await Promise.race([answer.reached, pause(300)]);
  await pause(int(400));
  answer.release();
}

/** An answer is lost, or a question. */
async function losesAnswer({ proxy, chance: { int, pick } }: MixWorld): Promise<void> {
  const part = pick(PARTS);
  await Promise.race([int(3) === 0 ? proxy.loseRequest(part) : proxy.loseAnswer(part), pause(300)]);
}

async function drain(world: MixWorld): Promise<void> {
  await world.drain();
}

/** All of them, as often as they come. */
export const OPERATIONS: readonly (readonly [times: number, operation: (world: MixWorld) => Promise<void>])[] = [
  [12, send],
  [2, sendMany],
  [4, cancel],
  [3, cancelMany],
  [4, reschedule],
  [2, suppress],
  [5, retry],
  [1, keepBack],
  [1, purgeContent],
  [6, comesBack],
  [3, retryWhatEnds],
  [6, answersLate],
  [1, losesAnswer],
  [1, drain],
];
