import { deepStrictEqual, match, ok, strictEqual } from "node:assert";
import { chmodSync, chownSync, cpSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import postgres from "postgres";
import { startEmbedded } from "../../relay/database/embedded.ts";
import { startScriptedServer } from "../../tests/scripted_server.ts";
import type { BuiltImage } from "./builder.ts";
import { type Container, type ContainerOptions, startContainer } from "./container.ts";

// Runs in namespaces of its own (container_check.ts makes them), in which nothing else listens: checks.ts FOLDER
// IMAGE-AS-JSON.

const CHECK_TIMEOUT_MS = 20_000;
const GRACE_MS = 25_000;
const PASSWORD = "let me in";
const [folder = "", json = ""] = process.argv.slice(2);
const image = JSON.parse(json) as BuiltImage; // written by container_check.ts from the very type
const volume = join(folder, "volume");

let failures = 0;
let latest: Container | undefined;

await main();
process.exit(failures === 0 ? 0 : 1);

async function main(): Promise<void> {
  await check(
    "says how to run it: user 1000, exec form, port 8025, the state directory as its volume",
    describesItself,
  );
  await check("holds the production packages and the relay, and nothing else", holdsOnlyTheRelay);
  // What is not described cannot be run as described.
  if (failures > 0) return;

  await using database = await startEmbedded({ directory: join(folder, "postgres"), durable: false });
  const sql = postgres(database.url, { max: 1, onnotice: () => {} });
  // A reply to the final dot may be kept waiting, to have a mail under way when the signal comes.
  let answer = Promise.withResolvers<void>();
  answer.resolve();
  await using smtp = await startScriptedServer({ on: { content: () => answer.promise.then(() => undefined) } });

  makeVolume();
  const environment = {
    DATABASE_URL: database.url,
    SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none`,
    RELAY_ADMIN_PASSWORD: PASSWORD,
    LOG_FORMAT: "json",
  };
  const healthcheck = image.healthcheck.slice(1);

  await check("takes a command as its argument", async () => {
    const { code, output } = await start({ volume, command: ["--version"] }).exited;
    strictEqual(code, 0, output);
    match(output, /^\d+\.\d+\.\d+\n$/);
  });
  await check("without settings ends with one sentence that names DATABASE_URL", async () => {
    const { code, output } = await start({ volume }).exited;
    strictEqual(code, 1, output);
    match(output, /^mailchute: .*DATABASE_URL.*\n$/m);
  });
  await check("HEALTHCHECK fails while no relay runs", async () => {
    const { code, output } = await start({ volume, environment, command: healthcheck.slice(1) }).exited;
    strictEqual(code, 1, output);
    match(output, /No answer from http:\/\/127\.0\.0\.1:8025\/livez/);
  });

  const relay = start({ volume, environment });
  await check("migrates an empty database and serves", async () => {
    await relay.printed('"schema migrated"');
    await relay.printed('"serving"');
  });
  await check("runs as user 1000 and process 1, without capabilities, on a read-only root", () => runsConfined(relay));
  await check("delivers a mail of mailchute.send", async () => {
    await send(sql, "first");
    await smtp.whenMails(1);
    match(smtp.mails[0]?.content ?? "", /^Subject: first\r$/m);
  });
  await check("HEALTHCHECK succeeds while the relay runs", async () => {
    const { code, output } = await relay.exec(healthcheck);
    strictEqual(code, 0, output);
    strictEqual(output, "ok\n");
  });
  await check("answers /readyz to everybody and shows its pages to those with the password", async () => {
    strictEqual((await fetch("http://127.0.0.1:8025/readyz")).status, 200);
    strictEqual((await fetch("http://127.0.0.1:8025/")).status, 401);
    const page = await fetch("http://127.0.0.1:8025/", { headers: { authorization: `Basic ${btoa(`:${PASSWORD}`)}` } });
    strictEqual(page.status, 200);
    match(await page.text(), /<html/);
  });
  await check("SIGTERM lets it finish the mail under way and end with 0 within the grace", async () => {
    answer = Promise.withResolvers();
    await send(sql, "second");
    await smtp.whenSaid("Subject: second");
    const startedMs = performance.now();
    process.kill(relay.processId(), "SIGTERM");
    await relay.printed('"draining"');
    answer.resolve();
    const { code, output } = await relay.exited;
    strictEqual(code, 0, output);
    ok(performance.now() - startedMs < GRACE_MS);
    strictEqual(smtp.mails.length, 2);
    deepStrictEqual([...(await sql`select distinct state from mailchute.recipient`)], [{ state: "sent" }]);
  });
  await check("HEALTHCHECK fails after the end", async () => {
    const { code, output } = await start({ volume, environment, command: healthcheck.slice(1) }).exited;
    strictEqual(code, 1, output);
  });
  await check("a new container on the same volume is the same relay, and keeps its files to itself", async () => {
    const next = start({ volume, environment });
    await next.printed('"serving"');
    await send(sql, "third");
    await smtp.whenMails(3);
    process.kill(next.processId(), "SIGTERM");
    const { code, output } = await next.exited;
    strictEqual(code, 0, output);
    const runs = await sql`select count(*)::int as runs, count(distinct instance)::int as relays from mailchute.relay`;
    deepStrictEqual([...runs], [{ runs: 2, relays: 1 }]);
    strictEqual(statSync(volume).mode & 0o777, 0o700);
    for (const name of readdirSync(volume)) strictEqual(statSync(join(volume, name)).uid, 1000, name);
  });
  await check("works on a volume of root's that its group may write, as Kubernetes makes them (fsGroup)", async () => {
    const shared = join(folder, "shared-volume");
    mkdirSync(shared);
    chownSync(shared, 0, 1000);
    chmodSync(shared, 0o2775);
    const settings = { ...environment, RELAY_STATE_DIR: `${image.volumes[0]}/relay` };
    const { code, output } = await start({ volume: shared, environment: settings, command: ["run", "--once"] }).exited;
    strictEqual(code, 0, output);
    strictEqual(statSync(join(shared, "relay")).mode & 0o777, 0o700);
  });
  await check("lives on when the database is away, says that it is not ready, and still ends at SIGTERM", async () => {
    const left = start({ volume, environment });
    await left.printed('"serving"');
    await sql.end({ timeout: 1 });
    await database.stop();
    const { code: health, output: said } = await left.exec(healthcheck);
    strictEqual(health, 0, said);
    const ready = await fetch("http://127.0.0.1:8025/readyz");
    strictEqual(ready.status, 503);
    match(await ready.text(), /database home does not answer/);
    process.kill(left.processId(), "SIGTERM");
    const { code, output } = await left.exited;
    strictEqual(code, 0, output);
  });
}

/** Makes the volume as an engine does: with the content, the owner and the mode that the image has there. */
function makeVolume(): void {
  const original = join(image.root, image.volumes[0] ?? "");
  cpSync(original, volume, { recursive: true });
  const { uid, gid, mode } = statSync(original);
  chownSync(volume, uid, gid);
  chmodSync(volume, mode & 0o7777);
}

function describesItself(): void {
  const { user, entrypoint, command, ports, volumes, healthcheck, environment } = image;
  strictEqual(user, "1000:1000");
  deepStrictEqual([...entrypoint, ...command], ["mailchute", "run"]);
  deepStrictEqual(ports, ["8025/tcp"]);
  deepStrictEqual(volumes, ["/var/lib/mailchute"]);
  deepStrictEqual(healthcheck, ["CMD", "mailchute", "healthcheck"]);
  for (const line of ["HOST=0.0.0.0", "RELAY_STATE_DIR=/var/lib/mailchute"]) ok(environment.includes(line), line);
}

function holdsOnlyTheRelay(): void {
  const app = join(image.root, "app");
  deepStrictEqual(readdirSync(app).sort(), ["node_modules", "package.json", "relay", "src", "tsconfig.json"]);
  const { dependencies } = JSON.parse(readFileSync(join(app, "package.json"), "utf8"));
  deepStrictEqual(readdirSync(join(app, "node_modules")).sort(), Object.keys(dependencies).sort());
}

function runsConfined(relay: Container): void {
  const proc = `/proc/${relay.processId()}`;
  const status = readFileSync(`${proc}/status`, "utf8");
  match(status, /^Uid:\t1000\t1000\t1000\t1000$/m);
  match(status, /^Gid:\t1000\t1000\t1000\t1000$/m);
  match(status, /^Groups:\t *$/m);
  match(status, /^NSpid:.*\t1$/m);
  match(status, /^CapEff:\t0+$/m);
  match(readFileSync(`${proc}/cmdline`, "utf8"), /^bun\0/);
  match(readFileSync(`${proc}/mountinfo`, "utf8"), /^\d+ \d+ \S+ \S+ \/ ro[, ]/m);
}

async function send(sql: postgres.Sql, subject: string): Promise<void> {
  const mail = { from: "Shop <shop@example.com>", to: "ann@example.com", subject, text: "It has arrived." };
  await sql`select mailchute.send(${sql.json(mail)})`;
}

function start(options: ContainerOptions): Container {
  latest = startContainer(image, options);
  return latest;
}

async function check(sentence: string, work: () => void | Promise<void>): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`No end after ${CHECK_TIMEOUT_MS} ms`)), CHECK_TIMEOUT_MS);
  try {
    await Promise.race([work(), late.promise]);
    console.log(`ok      ${sentence}`);
  } catch (error) {
    failures++;
    console.log(`failed  ${sentence}\n${error instanceof Error ? error.message : error}\n${latest?.output() ?? ""}`);
  } finally {
    clearTimeout(timer);
  }
}
