import { expect, test } from "bun:test";
import { beginPause } from "../../relay/limits/pause_table.ts";
import { createDatabase } from "../database.ts";
import { startRelayProcess, temporaryDirectory } from "../relay_process.ts";
import { enqueue } from "../relay.ts";
import { newRole } from "../schema/role.ts";
import { on, run, UNKNOWN_ID } from "../command.ts";
import { openQueue, settlement } from "./setup.ts";

test(
  "explain says what keeps a mail back, as sentences and as JSON, and of several databases in which it is",
  async () => {
    await using home = await createDatabase();
    await using other = await createDatabase();
    const env = { ...on(home), DATABASE_URL_SHOP: other.url };
    const held = await enqueue(other, { to: "held@example.com" });
    const { queue } = await openQueue(other);
    const { messages: [first] } = await queue.claim(1);
    if (first === undefined) throw new Error("Nothing was claimed");
    await queue.settle([settlement(first, "uncertain", "held")]);
    const leased = await enqueue(other, { to: "leased@example.com" });
    await queue.claim(1);
    const paused = await enqueue(other, { to: "ann@example.com", stream: "bulk" });
    await other.sql`insert into mailchute.suppression (address, reason) values ('ann@example.com', 'bounce')`;
    // The pauses of the home database hold in all.
    await beginPause(home.sql, { key: "stream=bulk", reason: "a wrong link" });
    const unserved = await enqueue(home, { scheduledAt: new Date(Date.now() + 3_600_000).toISOString() });

    const text = await run(["explain", held, leased, paused, unserved], env);
    expect({ code: text.code, stderr: text.stderr }).toEqual({ code: 0, stderr: "" });
    expect(text.stdout).toContain(`${held}  held, database shop`);
    expect(text.stdout).toContain(
      `→ look for <${held}@example.com> in the log of the SMTP server; then mailchute settle --sent ${held} --database shop if it has the mail, ` +
        `else mailchute retry ${held} --accept-duplicate --database shop`,
    );
    expect(text.stdout).toContain(`(pid ${process.pid}) holds it`);
    const json = await run(["explain", paused, unserved, "--json"], env);
    const [unservedSaid, pausedSaid] = JSON.parse(json.stdout);
    expect(pausedSaid).toMatchObject({ id: paused, database: "shop", state: "queued" });
    const codes = ({ reasons }: { readonly reasons: readonly { readonly code: string }[] }) =>
      reasons.map(({ code }) => code);
    expect(codes(pausedSaid)).toEqual(["paused", "suppressed", "due"]);
    expect(pausedSaid.reasons[0].text).toContain("a wrong link");
    expect(codes(unservedSaid)).toEqual(["no_relay", "scheduled"]);
    expect((await run(["explain", held, "--database", "home"], env)).code).toBe(1);
  },
  60_000,
);

test("explain of an unknown id exits with 1, and says when it was made and whether the queue is full", async () => {
  await using database = await createDatabase();
  const { relayId } = await openQueue(database);
  const { code, stdout, stderr } = await run(["explain", UNKNOWN_ID], on(database));
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toContain(`No message has the id ${UNKNOWN_ID}. The id was made at 2024-`);
  expect(stderr).toContain("rolled back or has not committed yet");
  expect(stderr).not.toContain("full");
  await database.sql`update mailchute.relay set full_until = now() + interval '1 minute' where id = ${relayId}`;
  expect((await run(["explain", UNKNOWN_ID], on(database))).stderr).toContain("The queue of home is full");
});

test("explain names the route that is out by the relay that runs here, with its last error", async () => {
  await using database = await createDatabase();
  using state = temporaryDirectory();
  // Nothing listens on port 1.
  const env = {
    ...on(database),
    SMTP_URL: "smtp://127.0.0.1:1?tls=none",
    SMTP_URL_B: "smtp://127.0.0.1:2?tls=none",
    RELAY_ROUTES: "to:b.example=b, *=default",
    RELAY_STATE_DIR: state.path,
  };
  const ids = [];
  for (let number = 0; number < 3; number++) ids.push(await enqueue(database, { to: `r${number}@example.com` }));
  await using relay = startRelayProcess(["run"], { ...env, PORT: "0" });
  await relay.printed('"msg":"route out"');
  await relay.printed('"msg":"serving"');
  const PORT = /http:\/\/127\.0\.0\.1:(\d+)/.exec(relay.output())?.[1] as string;
  const { stdout } = await run(["explain", ids[0] as string, "--json"], { ...env, PORT });
  const [{ reasons }] = JSON.parse(stdout);
  const out = (reasons as readonly { readonly code: string; readonly text: string }[]).filter(({ code }) =>
    code === "route_out"
  );
  expect(out).toHaveLength(1);
  expect(out[0]?.text).toMatch(/^The route default is out since \d.*: Nothing listens at this host and port\.$/);
  relay.kill("SIGTERM");
  expect(await relay.exited).toBe(0);
}, 60_000);

test(
  "a server that one mail alone waits for is out for everybody who watches: probe, metrics, status and explain",
  async () => {
    await using database = await createDatabase();
    using state = temporaryDirectory();
    const env = { ...on(database), SMTP_URL: "smtp://127.0.0.1:1?tls=none", RELAY_STATE_DIR: state.path };
    const id = await enqueue(database);
    await using relay = startRelayProcess(["run"], { ...env, PORT: "0" });
    await relay.printed('"msg":"route out"');
    await relay.printed('"msg":"serving"');
    const PORT = /http:\/\/127\.0\.0\.1:(\d+)/.exec(relay.output())?.[1] as string;
    const ask = async (path: string) => await (await fetch(`http://127.0.0.1:${PORT}${path}`)).text();
    expect(await ask("/readyz")).toBe("not ready: route default is out");
    expect(await ask("/metrics")).toContain('mailchute_route_state{route="default",state="closed"} 0');
    expect((await run(["status"], { ...env, PORT })).stdout).toContain("route default: out");
    expect((await run(["explain", id], { ...env, PORT })).stdout).toContain("The route default is out since");
  },
  60_000,
);

test("a role that may only look can ask, also of a mail that waits for a limit", async () => {
  await using database = await createDatabase();
  const viewer = newRole();
  const url = await database.as(viewer);
  await database.sql.unsafe(`grant mailchute_viewer to ${viewer}`);
  const id = await enqueue(database);
  await database.sql`update mailchute.queue set throttle = '1/h', due = now() + interval '1 hour'`;
  await database
    .sql`insert into mailchute.throttle (key, full_at, granted) values ('1/h', now() + interval '30 minutes', 1)`;
  // A scope's letters mean themselves to a claim, and so here.
  for (const scope of ["sender:%@example.com", "sender:*@example.com"]) {
    await database
      .sql`insert into mailchute.suppression (address, scope, reason) values ('ann@example.com', ${scope}, 'manual')`;
  }
  const { code, stdout, stderr } = await run(["explain", id], { DATABASE_URL: url });
  expect(stdout.split("\n").filter((line) => line.includes("will end as suppressed"))).toEqual([
    expect.stringContaining("on the suppression list for sender:*@example.com"),
  ]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(/It waits for the limit 1\/h: a token comes at .* \(in (29|30) minutes\)\./);
  expect((await run(["show", id], { DATABASE_URL: url })).stdout).toContain("  from Shop <shop@example.com>\n");
});
