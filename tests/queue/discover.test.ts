import { expect, test } from "bun:test";
import { Intake } from "../../relay/drain/intake.ts";
import { RateLimits } from "../../relay/limits/rate_limit.ts";
import { ThrottleTable } from "../../relay/limits/throttle_table.ts";
import { Throttles } from "../../relay/limits/throttles.ts";
import { parseRates } from "../../relay/settings/rates.ts";
import { systemClock } from "../../relay/time/clock.ts";
import { createDatabase } from "../database.ts";
import { openQueue } from "./setup.ts";

test("the end of a pause is found behind more limits than a relay remembers", async () => {
  await using database = await createDatabase();
  const { queue } = await openQueue(database);
  await database.sql`
    insert into mailchute.queue (seq, lane, due, throttle)
    select i, 1, now() + interval '1 hour', 'domain:d' || i || '.example=1/h' from generate_series(1, 10100) i
    union all select 20000, 1, now() + interval '5 days', 'paused:stream=bulk'
    union all select 20001, 1, now() + interval '5 days', 'paused:stream=news'`;
  const table = new ThrottleTable(database.sql);
  const intake = new Intake({
    queue,
    clock: systemClock,
    routes: [{ name: "default" }],
    pauses: { keys: new Set(["stream=news"]) },
    rates: {
      limits: new RateLimits(parseRates("domain:*=1/h", new Map())),
      throttles: new Throttles({ ask: (asked) => table.take(asked), clock: systemClock, onAway: () => {} }),
    },
  });
  expect((await intake.discover()).size).toBe(10_000);
  const due = await database.sql`select seq::int as seq from mailchute.queue where due <= now() and throttle is null`;
  expect(due.map(({ seq }) => seq as number)).toEqual([20_000]);
}, 60_000);
