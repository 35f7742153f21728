import { expect, test } from "bun:test";
import { steadyClock, systemClock } from "../../relay/time/clock.ts";
import { createDatabase } from "../database.ts";
import { describeMessage, enqueue, openTestRelay } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";

// What is stored as a time was made by the database's clock or by the app: the relay's own has no say in it.

const HOUR_MS = 3_600_000;

function clockAhead(byMs: number): typeof systemClock {
  return { ...systemClock, now: () => systemClock.now() + byMs };
}

for (const [offset, byMs] of [["an hour ahead", HOUR_MS], ["right", 0], ["an hour behind", -HOUR_MS]] as const) {
  test(`a relay whose clock is ${offset} sends what expires in ten minutes, and not what expired a second ago`, async () => {
    await using server = await startScriptedServer();
    await using database = await createDatabase();
    const expiresAt = new Date(Date.now() + 600_000).toISOString();
    const open = await enqueue(database, { to: "open@example.com", expiresAt });
    const over = await enqueue(database, { to: "over@example.com", expiresAt });
    await database.sql`update mailchute.message set expires_at = now() - interval '1 second' where id = ${over}`;
    await using running = await openTestRelay(database, { smtpPort: server.port, clock: clockAhead(byMs) });
    await running.relay.runOnce();
    expect(server.mails.map(({ recipients }) => recipients)).toEqual([["open@example.com"]]);
    expect((await describeMessage(database, open)).state).toBe("sent");
    expect((await describeMessage(database, over)).recipients[0]).toMatchObject({
      state: "expired",
      reason: "Its expiresAt has passed",
    });
  });

  test(`a relay whose clock is ${offset} gives a mail up at RELAY_MAX_AGE, neither sooner nor later`, async () => {
    await using server = await startScriptedServer();
    await using database = await createDatabase();
    const young = await enqueue(database, { to: "young@example.com" });
    const old = await enqueue(database, { to: "old@example.com" });
    await database.sql`update mailchute.message set created_at = now() - interval '31 minutes' where id = ${old}`;
    const options = { smtpPort: server.port, clock: clockAhead(byMs), maxAgeMs: HOUR_MS / 2 };
    await using running = await openTestRelay(database, options);
    await running.relay.runOnce();
    expect((await describeMessage(database, young)).state).toBe("sent");
    expect((await describeMessage(database, old)).state).toBe("expired");
  });
}

test("a steady clock goes on from where it was when the machine's is set back, and jumps forward with it", () => {
  let machineMs = 1_000;
  const clock = steadyClock({ ...systemClock, now: () => machineMs });
  const at = (ms: number) => (machineMs = ms, clock.now());
  expect([at(1_000), at(1_010), at(10), at(11), at(5_011)]).toEqual([1_000, 1_010, 1_010, 1_011, 6_011]);
  expect([at(4_011), at(4_012)]).toEqual([6_011, 6_012]);
});
