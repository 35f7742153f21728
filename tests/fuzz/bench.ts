import postgres from "postgres";
import { createMailer } from "../../mod.ts";
import { createDatabase } from "../database.ts";
import { openTestRelay } from "../relay.ts";
import { type AcceptedMail, startScriptedServer } from "../scripted_server.ts";
import { type Call, DEFAULT_FROM } from "./call.ts";
import { deliveryFaults, refusalFaults, type StoredMessage } from "./judge.ts";

/** What became of one call. */
export interface Verdict {
  readonly outcome: "refused" | "delivered";
  /** How many mails it queued. */
  readonly mails: number;
  readonly faults: readonly string[];
}

/** A database with a client in front of it and a relay behind it. */
export interface Bench extends AsyncDisposable {
  /** Makes the calls, delivers what was taken, and judges each of them. */
  judge(calls: readonly Call[]): Promise<readonly Verdict[]>;
}

/** How many calls are under way at a time. */
const AT_ONCE = 6;
/** What takes longer hangs. */
const CALL_MS = 20_000;
const DELIVERY_MS = 60_000;
/** One that takes mails whole, and one that takes the large ones in chunks. */
const OFFERS = [["PIPELINING", "8BITMIME", "SMTPUTF8"], [
  "PIPELINING",
  "8BITMIME",
  "SMTPUTF8",
  "CHUNKING",
  "SIZE",
]] as const;

const STORED = `
select m.id::text, m.tags, m.metadata, m.stream, m.on_uncertain as "onUncertain",
  (array['high', 'normal', 'low'])[m.lane + 1] as priority,
  floor(extract(epoch from m.scheduled_at) * 1000)::float8 as "scheduledMs", floor(extract(epoch from m.expires_at) * 1000)::float8 as "expiresMs",
  floor(extract(epoch from greatest(m.created_at, m.scheduled_at)) * 1000)::float8 as "dateMs",
  array(select r.state from mailchute.recipient r where r.seq = m.seq order by r.position) as states,
  array(select distinct coalesce(r.reason, '') from mailchute.recipient r where r.seq = m.seq) as reasons
from mailchute.message m`;

/** Opens it. @param options `callMs`: what takes longer hangs */
export async function openBench({ callMs = CALL_MS }: { readonly callMs?: number } = {}): Promise<Bench> {
  const database = await createDatabase();
  const sql = postgres(database.url, { max: AT_ONCE, onnotice: () => {} });
  const mail = createMailer(sql, { from: DEFAULT_FROM });
  let batches = 0;

  async function attempt(call: Call): Promise<readonly string[] | { readonly error: unknown }> {
    try {
      return await within(callMs, "the call", call.send(mail, sql));
    } catch (error) {
      return { error };
    }
  }

  async function deliver(): Promise<readonly AcceptedMail[]> {
    await using server = await startScriptedServer({ offer: OFFERS[batches++ % OFFERS.length] ?? [] });
    await using relay = await openTestRelay(database, { smtpPort: server.port });
    await sql`update mailchute.queue set due = now()`;
    await within(DELIVERY_MS, "the delivery", relay.relay.runOnce());
    return server.mails;
  }

  return {
    async judge(calls) {
      const results = await mapInTurn(calls, attempt);
      const delivered = Map.groupBy(await deliver(), ({ content }) => /^Message-ID: <([\da-f-]+)@/m.exec(content)?.[1]);
      const stored = new Map((await sql.unsafe<StoredMessage[]>(STORED)).map((row) => [row.id, row]));
      await sql`truncate mailchute.message, mailchute.content, mailchute.batch cascade`;
      const ids = new Set(results.flatMap((result) => "error" in result ? [] : result));
      const strangers = [...stored.keys(), ...delivered.keys()].filter((id) => id === undefined || !ids.has(id));
      if (strangers.length > 0) throw new Error(`What was refused is stored or delivered: ${strangers.join()}`);

      return await Promise.all(calls.map(async (call, index): Promise<Verdict> => {
        const result = results[index] ?? [];
        if ("error" in result) return { outcome: "refused", mails: 0, faults: refusalFaults(call, result.error) };
        const meanings = await call.meanings();
        const faults = await Promise.all(meanings.map((meaning, place) => {
          const id = result[place] ?? "";
          return deliveryFaults(meaning, stored.get(id), delivered.get(id) ?? []);
        }));
        const count = result.length === meanings.length
          ? []
          : [`it became ${result.length} mails instead of ${meanings.length}`];
        return { outcome: "delivered", mails: result.length, faults: [...count, ...faults.flat()] };
      }));
    },
    async [Symbol.asyncDispose]() {
      await sql.end({ timeout: 1 });
      await database[Symbol.asyncDispose]();
    },
  };
}

/** Some at a time, each with its result in its place. */
async function mapInTurn<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<readonly R[]> {
  const results: R[] = [];
  let next = 0;
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let index = next++; index < items.length; index = next++) results[index] = await work(items[index] as T);
  }));
  return results;
}

async function within<T>(limitMs: number, what: string, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`${what} hangs: it took more than ${limitMs} ms`)), limitMs);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
