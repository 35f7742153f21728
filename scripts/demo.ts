import { Pool } from "@neondatabase/serverless";
import { neon, neonConfig } from "@neondatabase/serverless";
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import { createMailer, type Mailer, type MessageStatus } from "../mod.ts";
import { embeddedUrl } from "../relay/database/embedded.ts";
import { startNeonStandin } from "../tests/neon_standin.ts";

// A first look at everything: embedded Postgres, the relay, a local inbox, and mails that go through the public client
// in the ways that apps send them. `--once` shows the evidence and ends; without it the relay keeps running, to be
// played with.

const once = process.argv.includes("--once");
const root = join(import.meta.dir, "..");
// Each --once run starts from nothing; the other keeps its mails from start to start.
const state = once ? mkdtempSync(join(tmpdir(), "mailchute-demo-")) : join(root, ".mailchute", "demo");
mkdirSync(state, { recursive: true, mode: 0o700 });
const logFile = join(state, "relay.log");

step("Starting the relay in its playground: embedded Postgres and a local inbox (no DATABASE_URL, no SMTP_URL)");
const relay = await startRelay();
const databaseUrl = embeddedUrl(join(state, "postgres")) as string;
console.log(`  status    ${relay.url}`);
console.log(`  inbox     ${relay.url}/inbox`);
console.log(`  log       ${logFile}`);

const sql = postgres(databaseUrl, { onnotice: () => {} });
await sql`create table if not exists orders (id int generated always as identity primary key, email text not null)`;
const mail = createMailer(sql, { from: "Chute Demo <shop@example.com>" });
const sent: { readonly what: string; readonly id: string }[] = [];

step("A mail inside a transaction that commits");
await sql.begin(async (tx) => {
  await tx`insert into orders (email) values ('ann@example.com')`;
  const { id } = await mail.send(
    { to: "Ann Örtel <ann@example.com>", subject: "Your order is confirmed ✔", text: "Dear Ann,\n\nthank you!\n" },
    { tx, idempotencyKey: `receipt/${crypto.randomUUID()}` },
  );
  sent.push({ what: "transaction that commits", id });
});

step("A mail inside a transaction that rolls back: there must be no trace of it");
const neverSent = await sendAndRollBack();

step("HTML with an inline image, a Bcc and an attachment");
await send("HTML, inline image, Bcc", mail, {
  to: ["ann@example.com", "Bob <bob@example.com>"],
  bcc: "archive@example.com",
  subject: "Grüße aus dem Postschacht 📮",
  text: "The picture is in the HTML part.",
  html:
    '<h1 style="font-family:sans-serif">Down the chute</h1><p><img src="cid:logo" alt="a blue square" width="64" height="64"></p>',
  attachments: [
    { filename: "logo.png", content: blueSquare(), encoding: "base64", contentType: "image/png", contentId: "logo" },
    { filename: "Überweisung.txt", content: "42,00 €", encoding: "utf-8" },
  ],
});

step("Over Neon's HTTP driver, in one request with the app's own insert (a local stand-in answers for Neon)");
await using standin = await startNeonStandin(databaseUrl);
standin.configure(neonConfig);
const http = neon(standin.url);
const overHttp = createMailer(http, { from: "Worker <worker@example.com>" });
const statement = await overHttp.statement({
  to: "carl@example.com",
  subject: "From a Worker",
  text: "One request, one transaction.",
});
await http.transaction([
  http`insert into orders (email) values ('carl@example.com')`,
  http.query(statement.text, [...statement.values]),
]);
sent.push({ what: "Neon HTTP, sql.transaction([…])", id: statement.id });

step("Over Neon's WebSocket driver, from a trigger-like SQL call");
const pool = new Pool({ connectionString: standin.url });
const { rows } = await pool.query(
  `select mailchute.send('{"from": "SQL <sql@example.com>", "to": "dora@example.com", "subject": "From plain SQL", "text": "select mailchute.send(…)"}') as id`,
);
sent.push({ what: "select mailchute.send(…)", id: rows[0].id as string });
await pool.end();

step("Scheduled for two seconds from now");
await send("scheduled", mail, {
  to: "eve@example.com",
  subject: "Later",
  text: "On time.",
  scheduledAt: new Date(Date.now() + 2_000),
});

step("Waiting until the SMTP server has said 250 to each");
let failures = 0;
for (const { what, id } of sent) {
  const status = await finalStatus(id);
  if (status.state !== "sent") failures++;
  const reply = status.attempts.at(-1);
  console.log(`  ${status.state.padEnd(8)} ${what.padEnd(34)} ${id}  ${reply?.code ?? ""} ${reply?.reply ?? ""}`);
}
const trace = await mail.get(neverSent);
console.log(`  ${trace === undefined ? "no trace" : trace.state} of the mail that was rolled back`);
if (trace !== undefined) failures++;

const inbox = await (await fetch(`${relay.url}/inbox`)).text();
for (const subject of ["Your order is confirmed", "From a Worker", "From plain SQL", "Later"]) {
  if (!inbox.includes(subject)) failures++;
}
if (inbox.includes("Never to be seen")) failures++;
console.log(`  the inbox shows ${sent.length} mails at ${relay.url}/inbox${once ? " (until this demo ends)" : ""}`);

await sql.end();
if (once) {
  await relay.stop();
  rmSync(state, { recursive: true, force: true });
  console.log(
    failures === 0 ? "\nEverything arrived, and what was rolled back did not." : `\n${failures} things went wrong.`,
  );
  process.exit(failures === 0 ? 0 : 1);
}
console.log(`
Look around:
  ${relay.url}/inbox          what arrived
  RELAY_STATE_DIR=${state} node_modules/.bin/bun relay/main.ts list
Ctrl-C ends the demo; its database and inbox stay in ${state}.`);

function step(text: string): void {
  console.log(`\n→ ${text}`);
}

async function send(what: string, mailer: Mailer, message: Parameters<Mailer["send"]>[0]): Promise<void> {
  const { id } = await mailer.send(message);
  sent.push({ what, id });
}

/** Sends inside a transaction that fails; what is left of it must be nothing. */
async function sendAndRollBack(): Promise<string> {
  let id = "";
  class CardDeclined extends Error {}
  try {
    await sql.begin(async (tx) => {
      ({ id } = await mail.send({ to: "ann@example.com", subject: "Never to be seen", text: "Rolled back" }, { tx }));
      throw new CardDeclined();
    });
  } catch (error) {
    if (!(error instanceof CardDeclined)) throw error;
  }
  return id;
}

async function finalStatus(id: string): Promise<MessageStatus> {
  for (const end = Date.now() + 30_000;;) {
    const status = await mail.get(id);
    if (status === undefined) throw new Error(`The mail ${id} is not in the queue`);
    if (status.state === "sent" || Date.now() > end) return status;
    await Bun.sleep(50);
  }
}

/** Starts the real relay as a process of its own, with none of this shell's settings. */
async function startRelay(): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const log = openSync(logFile, "a");
  const child = Bun.spawn([process.execPath, join(root, "relay/main.ts"), "run"], {
    env: {
      PATH: process.env.PATH ?? "",
      HOME: process.env.HOME ?? "",
      RELAY_STATE_DIR: state,
      PORT: once ? "0" : process.env.PORT ?? "8025",
      LOG_FORMAT: "json",
    },
    stdin: "ignore",
    stdout: "pipe",
    stderr: log,
    // In a process group of its own: Ctrl-C reaches this script, which asks the relay to drain.
    detached: true,
  });
  let stopping: Promise<number> | undefined;
  const stop = () => {
    if (stopping === undefined) child.kill("SIGTERM");
    stopping ??= child.exited;
    return stopping;
  };
  // However this script ends, the relay does not outlive it.
  process.on("exit", () => stopping === undefined && child.kill("SIGTERM"));
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => stop().then(() => process.exit(0)));

  let text = "";
  const started = Promise.withResolvers<string>();
  void (async () => {
    for await (const chunk of child.stdout) {
      writeSync(log, chunk);
      text += new TextDecoder().decode(chunk);
      const url = /"msg":"serving","status":"([^"]+)"/.exec(text)?.[1];
      if (url !== undefined) started.resolve(url);
    }
    await child.exited;
    const words = readFileSync(logFile, "utf8").split("\n").findLast((line) => line.startsWith("mailchute: "));
    started.reject(new Error(words ?? `The relay did not start: see ${logFile}`));
  })();
  const url = await started.promise.catch((error: Error) => {
    console.error(`\n${error.message}\nAnother port: PORT=8026 npm run demo`);
    process.exit(1);
  });
  return { url, stop: async () => void await stop() };
}

/** A PNG of 64 × 64 blue points, as base64. */
function blueSquare(): string {
  return "iVBORw0KGgoAAAANSUhEUgAAAEAAAABAAQMAAACQp+OdAAAAA1BMVEUvb+2otdWqAAAAD0lEQVR42mNgGAWjgHwAAAJAAAHgTR1EAAAAAElFTkSuQmCC";
}
