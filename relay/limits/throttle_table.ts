import type { Statements } from "../database/statements.ts";
import { isServing } from "../queue/relay_row.ts";
import { capacityOf, type Limit, tokenMs, type Wish } from "./throttle.ts";

/** What a relay wants of one throttle. */
export interface Asked extends Wish {
  readonly key: string;
  readonly limit: Limit;
  /** Tokens that were used without asking, or with a minus, that were taken and not used. */
  readonly owed: number;
}

/** What it got of one. */
export interface Granted {
  readonly key: string;
  readonly granted: number;
  /** In how many milliseconds the bucket will be full; less than 0 when it has been for a while. */
  readonly fullMs: number;
}

/** What the home database says. */
export interface Answer {
  readonly granted: readonly Granted[];
  /** The relays that live, this one among them; undefined when nothing was asked for. */
  readonly relays: number | undefined;
}

/**
 * What `take` of throttle.ts does, for all relays: `full_at` says when a bucket will be full. One statement, whose
 * locks nobody holds while he waits for anything; in the order of the keys, so that two statements do not wait for each
 * other. Index: throttle_pkey.
 */
export const TAKE: string = `
with asked as materialized (
  select * from jsonb_to_recordset($1::text::jsonb) as a(key text, first float8, most float8, owed float8, capacity float8, token_ms float8)
), taken as (
  insert into mailchute.throttle as t (key, full_at, granted)
  select a.key, x.full_at, x.granted from asked a cross join lateral (${takeFrom("now()")}) x order by a.key
  on conflict (key) do update set (full_at, granted) = (
    select x.full_at, x.granted from asked a cross join lateral (${takeFrom("t.full_at")}) x where a.key = t.key)
  returning t.key, t.full_at, t.granted
)
select key, granted, extract(epoch from full_at - now())::float8 * 1000 as full_ms,
  (select count(*) from mailchute.relay r where ${isServing("r")})::int as relays
from taken`;

/** A bucket that is full is as good as none. */
const FORGET = "delete from mailchute.throttle where full_at < now() - interval '1 day'";

/** The throttles of all relays, in the home database. */
export class ThrottleTable {
  readonly #sql: Statements;

  constructor(sql: Statements) {
    this.#sql = sql;
  }

  /** Takes what there is, in one round trip. */
  async take(asked: readonly Asked[]): Promise<Answer> {
    const input = asked.map(({ key, limit, first, most, owed }) => ({
      ...{ key, first, most, owed, capacity: capacityOf(limit), token_ms: tokenMs(limit) },
    }));
    const rows = await this.#sql.unsafe(TAKE, [JSON.stringify(input)], { prepare: true });
    const granted = rows.map((row) => ({
      ...{ key: row.key as string, granted: row.granted as number, fullMs: row.full_ms as number },
    }));
    const relays = rows[0]?.relays as number | undefined;
    return { granted, relays: relays === undefined ? undefined : Math.max(1, relays) };
  }

  /** Forgets those that nobody has used for long. */
  async forget(): Promise<void> {
    await this.#sql.unsafe(FORGET);
  }
}

function takeFrom(fullAt: string): string {
  return `
    select now() + make_interval(secs => (m.missing_ms + g.granted * a.token_ms) / 1000) as full_at, g.granted
    from (select greatest(0, greatest(0, extract(epoch from ${fullAt} - now())::float8 * 1000) + a.owed * a.token_ms) as missing_ms) m
    cross join lateral (select floor(a.capacity - m.missing_ms / a.token_ms + 1e-6) as free) f
    cross join lateral (select case when f.free < 1 or a.most < 1 then 0 else greatest(a.first, least(a.most, f.free)) end as granted) g`;
}
