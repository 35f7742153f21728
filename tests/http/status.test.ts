import { expect, test } from "bun:test";
import { age, statusPage, troubles } from "../../relay/http/status.tsx";
import { STATUS } from "./setup.ts";

test("an age is written in two units at most", () => {
  const cases: [number, string][] = [
    [-1, "0 s"],
    [0.9, "0 s"],
    [59, "59 s"],
    [60, "1 min 0 s"],
    [3_599, "59 min 59 s"],
    [3_600, "1 h 0 min"],
    [86_399, "23 h 59 min"],
    [86_400, "1 d 0 h"],
  ];
  for (const [seconds, text] of cases) expect(age(seconds)).toBe(text);
});

test("no trouble is found in a relay that is well, and a half-open route is one", () => {
  expect(troubles(STATUS)).toEqual([]);
  expect(troubles({
    ...STATUS,
    routes: STATUS.routes.flatMap((route) => [
      { ...route, state: "half-open" as const },
      { ...route, name: "provider" },
      { ...route, name: "backup", state: "open" as const, reason: "Nothing listens", outSince: STATUS.startedAt },
    ]),
  })).toEqual(["Route default is out.", "Route backup is out since 2026-11-21T12:00:00Z: Nothing listens."]);
  const queue = { messages: 100_000, limit: 100_000, isFull: true };
  expect(troubles({ ...STATUS, databases: STATUS.databases.map((database) => ({ ...database, queue })) })).toEqual([
    "The queue of database home is full (100,000): apps are refused.",
  ]);
});

test("the page lists the limits that keep mail back, with the wait of each, and nothing when there is none", async () => {
  const now = new Date("2026-11-21T12:00:00Z");
  const listed = [{ limit: "domain:example.com=60/m", until: new Date("2026-11-21T12:01:30Z") }];
  const shown = async (limits: { readonly reached: number; readonly listed: typeof listed }) =>
    await (await statusPage({ ...STATUS, limits }, { now, hasInbox: false })).text();
  const page = await shown({ reached: 31, listed });
  expect(page).toContain("Limits that keep mail back (and 30 more)");
  expect(page).toMatch(/domain:example\.com=60\/m<\/th><td>1 min 30 s/);
  expect(await shown({ reached: 0, listed: [] })).not.toContain("Limits");
});

test("the page says first what is paused, and lists since when, by whom and why", async () => {
  const since = new Date("2026-11-21T12:00:00Z");
  const pauses = [
    { key: "stream=bulk", since, by: "ops", reason: "a <wrong> link" },
    { key: "domain=example.com", since, by: "ops" },
  ];
  expect(troubles({ ...STATUS, pauses })).toEqual(["Stream bulk is paused.", "Mail to example.com is paused."]);
  const page = await (await statusPage({ ...STATUS, pauses }, { now: since, hasInbox: false })).text();
  expect(page).toContain("Stream bulk is paused.");
  expect(page).toMatch(/stream bulk<\/th><td>2026-11-21T12:00:00Z<\/td><td>ops<\/td><td>a &lt;wrong&gt; link/);
  const none = await (await statusPage({ ...STATUS, pauses: [] }, { now: since, hasInbox: false })).text();
  expect(none).not.toContain("aused");
});
