import { expect, test } from "bun:test";
import { metricsText } from "../../relay/http/metrics.ts";
import { STATUS } from "./setup.ts";

test("every metric is a family with help and type, under our prefix, each named once", () => {
  const text = metricsText(
    { ...STATUS, routes: STATUS.routes.map((it) => ({ ...it, lastSentAt: new Date(5_000) })) },
    true,
  );
  const names = [...text.matchAll(/^# TYPE (\S+) (gauge|counter)$/gm)].map((match) => match[1] ?? "");
  expect(new Set(names).size).toBe(names.length);
  for (const line of text.trimEnd().split("\n")) {
    expect(line).toMatch(
      /^(# (HELP|TYPE) mailchute_\w+ .+|mailchute_\w+(\{\w+="[^"\n]*"(,\w+="[^"\n]*")*\})? -?[\d.]+)$/,
    );
  }
  for (const name of names) expect(text).toMatch(new RegExp(`^${name}[ {]`, "m"));
});

test("the numbers of the status arrive under their names", () => {
  const text = metricsText({
    ...STATUS,
    databases: [
      { name: "home", reachable: true, inFlight: 2, listening: true, messages: { queued: 8, sent: 9 } },
      { name: "crm", reachable: false, inFlight: 0, listening: false },
    ],
    routes: STATUS.routes.flatMap((route) => [
      { ...route, state: "half-open" as const, connections: 1, lastSentAt: new Date("2026-11-21T12:00:01.500Z") },
      { ...route, name: "provider", attempts: { ...route.attempts, sent: 7 } },
    ]),
  }, true);
  for (
    const line of [
      'mailchute_info{version="0.1.0"} 1',
      'mailchute_database_up{database="home"} 1',
      'mailchute_database_up{database="crm"} 0',
      'mailchute_queue_messages{database="home",state="queued"} 8',
      'mailchute_queue_oldest_seconds{database="home"} 0',
      'mailchute_in_flight_messages{database="home"} 2',
      'mailchute_attempts_total{route="default",result="sent"} 10423',
      'mailchute_attempts_total{route="provider",result="sent"} 7',
      'mailchute_route_state{route="provider",state="closed"} 1',
      'mailchute_ended_total{state="expired"} 5',
      "mailchute_settled_stale_total 7",
      'mailchute_route_state{route="default",state="half-open"} 1',
      'mailchute_route_state{route="default",state="closed"} 0',
      'mailchute_smtp_connections{route="default"} 1',
      'mailchute_last_success_timestamp_seconds{route="default"} 1795262401.5',
    ]
  ) expect(text.split("\n")).toContain(line);
  expect(text).not.toContain("mailchute_queue_full");
  const [home] = STATUS.databases;
  const databases = home === undefined ? [] : [{ ...home, queue: { messages: 9, limit: 10, isFull: true } }];
  const lines = metricsText({ ...STATUS, databases }, true).split("\n");
  for (const [name, value] of [["open", 9], ["limit", 10], ["full", 1]]) {
    expect(lines).toContain(`mailchute_queue_${name}{database="home"} ${value}`);
  }
  const until = new Date("2026-11-21T12:00:30Z");
  const limits = { reached: 2, listed: [{ limit: "domain:example.com=1/h", until }] };
  const limited = metricsText({ ...STATUS, limits }, true);
  expect(limited.split("\n")).toContain("mailchute_limits_reached 2");
  // No label holds a domain.
  expect(limited).not.toContain("example.com");
  // A queue nobody can look into is not an empty queue.
  expect(text).not.toContain('mailchute_queue_oldest_seconds{database="crm"}');
});

test("what was taken over from a relay that was lost counts as uncertain, by no route of ours, and is there before it happens", () => {
  const uncertain = (counted: number, name = "default") => {
    const counters = { ...STATUS.counters, uncertain: counted };
    const text = metricsText({ ...STATUS, counters, routes: STATUS.routes.map((it) => ({ ...it, name })) }, true);
    return text.split("\n").filter((line) => line.includes('result="uncertain"')).map((line) => line.split("{")[1]);
  };
  expect(uncertain(1)).toEqual(['route="default",result="uncertain"} 1', 'route="unknown",result="uncertain"} 0']);
  expect(uncertain(4)[1]).toBe('route="unknown",result="uncertain"} 3');
  expect(uncertain(4, "unknown")).toEqual(['route="unknown",result="uncertain"} 1']);
});

test("attack: a label with quotes, backslashes and newlines stays one label", () => {
  const text = metricsText({ ...STATUS, version: 'a"} 1\nforged 1\\' }, true);
  expect(text).toContain('mailchute_info{version="a\\"} 1\\nforged 1\\\\"} 1\n');
  expect(text).not.toMatch(/^forged/m);
});

test("each pause is a sample, but for those of domains, which are counted", () => {
  const since = new Date("2026-11-21T12:00:00Z");
  const pauses = ["all", "batch=7", "domain=a.example", "domain=b.example", "stream=bulk"].map((key) => ({
    key,
    since,
    by: "ops",
  }));
  const text = metricsText({ ...STATUS, pauses }, true);
  expect(text.split("\n").filter((line) => line.startsWith("mailchute_paused"))).toEqual([
    'mailchute_paused{of="all"} 1',
    'mailchute_paused{of="batch",batch="7"} 1',
    'mailchute_paused{of="stream",stream="bulk"} 1',
    'mailchute_paused{of="domain"} 2',
  ]);
  expect(text).not.toContain("a.example");
  expect(metricsText(STATUS, true)).not.toContain("mailchute_paused");
});
