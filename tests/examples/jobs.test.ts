import { expect, test } from "bun:test";
import { join } from "node:path";
import { createDatabase } from "../database.ts";
import { execute } from "../package/installed.ts";
import { temporaryDirectory } from "../relay_process.ts";
import { enqueue } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { openShop, ROOT, type Shop } from "./shop.ts";

/** Runs a job to its end. */
function runJob(shop: Shop, words: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return execute([process.execPath, ...words], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, NO_COLOR: "1", DATABASE_URL: shop.url, ...env },
  });
}

test("campaign.ts queues a mail for each line of the file, and adds who is missing when it runs again", async () => {
  await using shop = await openShop();
  using folder = temporaryDirectory();
  const file = join(folder.path, "readers.csv");
  const readers = ["ann@example.com,Ann", "bob@example.com,Bob"];
  const run = () => runJob(shop, ["examples/campaign.ts", file, "news/1"]);

  // Two lines are good: that the third is not takes them back, and the campaign.
  await Bun.write(file, ["email,name", ...readers, "carl@example.com"].join("\n"));
  const refused = await run();
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain("Cannot read line 4");
  expect(await shop.held("campaigns", "name")).toEqual({ rows: [], mails: [] });

  await Bun.write(file, ["email,name", ...readers, ""].join("\n"));
  expect((await runJob(shop, ["examples/campaign.ts", file, "blocked"])).stderr).toContain("refused at the commit");
  expect(await shop.held("campaigns", "name")).toEqual({ rows: [], mails: [] });
  expect(await run()).toMatchObject({ code: 0, stdout: "2 queued, 0 had it already\n" });
  const mails = ["ann@example.com", "bob@example.com"];
  expect(await shop.held("campaigns", "name")).toEqual({ rows: ["news/1"], mails });

  await Bun.write(file, ["email,name", ...readers, "carl@example.com,Carl"].join("\n"));
  expect(await run()).toMatchObject({ code: 0, stdout: "1 queued, 2 had it already\n" });
  expect(await shop.held("campaigns", "name")).toEqual({ rows: ["news/1"], mails: [...mails, "carl@example.com"] });
});

/** The last one is refused at the commit. */
const WRONG_REPORTS = [
  ["2026-11-21", "no address"],
  ["2026-02-30", "boss@shop.example.com"],
  ["1999-12-31", "boss@shop.example.com"],
] as const;

test("daily_report.ts queues one report for each day, with its row or neither", async () => {
  await using shop = await openShop();
  await shop
    .sql`insert into orders (id, email, ordered_at) values (gen_random_uuid(), 'ann@example.com', '2026-11-21T12:00Z')`;
  const run = (day: string, to: string) => runJob(shop, ["examples/daily_report.ts", day], { REPORT_TO: to });
  for (const [day, to] of WRONG_REPORTS) {
    expect({ day, code: (await run(day, to)).code }).toEqual({ day, code: 1 });
    expect(await shop.held("reports", "day")).toEqual({ rows: [], mails: [] });
  }
  const said = ["The report of 2026-11-21 is queued\n", "The report of 2026-11-21 was queued before\n"];
  for (const stdout of said) {
    expect(await run("2026-11-21", "boss@shop.example.com")).toMatchObject({ code: 0, stdout });
    expect(await shop.held("reports", "day")).toEqual({ rows: ["2026-11-21"], mails: ["boss@shop.example.com"] });
  }
  const [report] = await shop.sql`
    select c.subject, convert_from(a.bytes, 'UTF8') as file
    from mailchute.content c join mailchute.attachment a on a.content_id = c.id`;
  expect(report).toEqual({ subject: "Orders of 2026-11-21: 1", file: "day,orders\r\n2026-11-21,1\r\n" });
});

test("relay_inside.ts delivers, ends after SIGTERM, and names a wrong setting", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  using state = temporaryDirectory();
  await enqueue(database);
  const env = {
    PATH: process.env.PATH,
    DATABASE_URL: database.url,
    SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=none`,
    RELAY_STATE_DIR: state.path,
    PORT: "0",
  };
  const command = [process.execPath, "examples/relay_inside.ts"];
  await using child = Bun.spawn(command, { cwd: ROOT, env, stdin: "ignore", stdout: "pipe" });
  await server.whenMails(1);
  child.kill("SIGTERM");
  expect(await child.exited).toBe(0);
  const wrong = await execute(command, { cwd: ROOT, env: { ...env, RELAY_LEASE: "120" } });
  expect({ code: wrong.code, stdout: wrong.stdout }).toEqual({ code: 2, stdout: "" });
  expect(wrong.stderr).toContain("RELAY_LEASE");
});
