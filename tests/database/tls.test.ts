import { afterAll, beforeAll, expect, test } from "bun:test";
import { chownSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { connect as connectSocket, createServer, type ListenOptions } from "node:net";
import { join } from "node:path";
import postgres from "postgres";
import { postgresMailer } from "../../src/drivers/postgres.ts";
import type { EmbeddedPostgres } from "../../relay/database/embedded.ts";
import { run } from "../command.ts";
import { type RelayProcess, startRelayProcess, temporaryDirectory } from "../relay_process.ts";
import { until } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { startTestServer } from "../server.ts";
import { createAuthority } from "../smtp/certificate.ts";

// The way to the database: encrypted and checked as the URL says, by IPv6, by a socket. A server of its own, since it
// is given a certificate.

const authority = createAuthority();
const files = temporaryDirectory();
let server: EmbeddedPostgres;
let admin: postgres.Sql;

beforeAll(async () => {
  server = await startTestServer();
  admin = postgres(server.url, { max: 1, onnotice: () => {} });
  const [row] = await admin`show data_directory`;
  const folder = row?.data_directory as string;
  const { uid, gid } = statSync(folder);
  const { cert, key } = authority.issue(["localhost"]);
  for (const [setting, text] of Object.entries({ ssl_cert_file: cert, ssl_key_file: key, ssl_ca_file: authority.ca })) {
    const file = join(folder, `${setting}.pem`);
    writeFileSync(file, text, { mode: 0o600 });
    chownSync(file, uid, gid);
    await admin.unsafe(`alter system set ${setting} = '${file}'`);
  }
  await admin.unsafe("alter system set ssl = on");
  await admin`select pg_reload_conf()`;
  await until(async () => (await admin`show ssl`)[0]?.ssl === "on", "the server offers TLS");
}, 60_000);

afterAll(async () => {
  await admin.end();
  await server.stop();
  files[Symbol.dispose]();
});

/** Writes a file. @returns its path */
function file(name: string, text: string): string {
  const path = join(files.path, name);
  writeFileSync(path, text);
  return path;
}

/** The URL of the server under another of its names, with these words of TLS. */
function urlOf(host: "localhost" | "127.0.0.1", words: Readonly<Record<string, string>>): string {
  const url = new URL(server.url);
  url.hostname = host;
  for (const [name, value] of Object.entries(words)) url.searchParams.set(name, value);
  return url.href;
}

async function tlsFinding(url: string): Promise<string> {
  const { stdout } = await run(["doctor"], { DATABASE_URL: url });
  return /^ +(?:ok|warn) +tls .*$/m.exec(stdout)?.[0].trim().replace(/ +/g, " ") ?? stdout;
}

const root = file("ca.pem", authority.ca);
const other = file("other.pem", createAuthority().ca);

const NONE_NEEDED = "ok tls none, and none is needed on this machine";
const NOT_VERIFIED = "ok tls TLSv1.3, certificate not verified";
const NOT_ITS_NAME = "ok tls TLSv1.3, certificate verified, but not the name of the server";
const VERIFIED = "ok tls TLSv1.3, certificate verified";
const UNKNOWN = "name the certificate of its authority by &sslrootcert=/path/to/ca.pem in DATABASE_URL";

test.each(
  [
    ["without a word nothing is encrypted", "127.0.0.1", {}, NONE_NEEDED],
    ["disable encrypts nothing", "127.0.0.1", { sslmode: "disable" }, NONE_NEEDED],
    ["prefer takes what the server offers", "127.0.0.1", { sslmode: "prefer" }, NOT_VERIFIED],
    ["require checks nothing", "127.0.0.1", { sslmode: "require" }, NOT_VERIFIED],
    ["require with an authority checks it", "127.0.0.1", { sslmode: "require", sslrootcert: root }, NOT_ITS_NAME],
    ["verify-ca checks the authority alone", "127.0.0.1", { sslmode: "verify-ca", sslrootcert: root }, NOT_ITS_NAME],
    ["verify-full checks the name too", "localhost", { sslmode: "verify-full", sslrootcert: root }, VERIFIED],
    ["an authority alone is verify-full", "localhost", { sslrootcert: root }, VERIFIED],
    ["another name is refused", "127.0.0.1", { sslrootcert: root }, "use the host name that the certificate is for"],
    ["an unknown authority is refused", "localhost", { sslmode: "verify-full" }, UNKNOWN],
    ["another authority is refused", "localhost", { sslmode: "verify-full", sslrootcert: other }, UNKNOWN],
    ["another authority is refused by verify-ca", "127.0.0.1", { sslmode: "verify-ca", sslrootcert: other }, UNKNOWN],
  ] as const,
)("%s", async (_name, host, words, says) => {
  expect(await tlsFinding(urlOf(host, words))).toContain(says);
});

test("every connection of a relay is encrypted and shows its certificate, and mail flows at once", async () => {
  await using smtp = await startScriptedServer();
  using state = temporaryDirectory();
  const ours = authority.issue(["relay"]);
  const words = { sslrootcert: root, sslcert: file("cert.pem", ours.cert), sslkey: file("key.pem", ours.key) };
  await using relay: RelayProcess = startRelayProcess(["run"], {
    ...{ DATABASE_URL: urlOf("localhost", words), SMTP_URL: `smtp://127.0.0.1:${smtp.port}?tls=none` },
    ...{ RELAY_STATE_DIR: state.path, PORT: "0", RELAY_POLL: "60s" },
  });
  await relay.printed('"msg":"serving"');
  const mail = { from: "shop@shop.example", to: "ann@example.com", subject: "Hi", text: "Hi" };
  await admin`select mailchute.send(${JSON.stringify(mail)}::text::jsonb)`;
  await smtp.whenMails(1);
  const connections = await admin`
    select distinct s.ssl, s.client_dn from pg_stat_activity a join pg_stat_ssl s using (pid)
    where a.application_name = 'mailchute relay'`;
  expect([...connections]).toEqual([{ ssl: true, client_dn: "/CN=relay" }]);
}, 30_000);

/** Passes on what comes to an address to the server. */
async function passOn(at: ListenOptions): Promise<AsyncDisposable> {
  const { hostname, port } = new URL(server.url);
  const sockets = new Set<{ destroy(): unknown }>();
  const listening = createServer((socket) => {
    const onward = connectSocket(Number(port), hostname);
    for (const each of [socket, onward]) sockets.add(each.on("error", () => {}));
    socket.pipe(onward).pipe(socket);
  });
  await new Promise<void>((resolve, reject) => void listening.on("error", reject).listen(at, resolve));
  return {
    [Symbol.asyncDispose]: async () => {
      for (const each of sockets) each.destroy();
      await new Promise((resolve) => void listening.close(resolve));
    },
  };
}

test("a database is found by its IPv6 address, and by the folder of its socket, however that is written", async () => {
  const { username, password, port, pathname } = new URL(server.url);
  await run(["migrate"], { DATABASE_URL: server.url });
  await using _ip = await passOn({ host: "::1", port: Number(port) });
  const folder = join(files.path, "run");
  mkdirSync(folder);
  await using _socket = await passOn({ path: join(folder, ".s.PGSQL.5432") });
  await using _other = await passOn({ path: join(folder, ".s.PGSQL.5433") });
  const login = `postgres://${username}:${password}@`;
  for (
    const url of [
      `${login}[::1]:${port}${pathname}`,
      `${login}${encodeURIComponent(folder)}${pathname}`,
      `${login}${encodeURIComponent(folder)}:5433${pathname}`,
      `postgres://${pathname}?host=${folder}&user=${username}&password=${password}`,
    ]
  ) {
    const { code, stderr } = await run(["status"], { DATABASE_URL: url });
    expect({ url, code, stderr }).toEqual({ url, code: 0, stderr: "" });
  }
  await using mail = postgresMailer(`${login}[::1]:${port}${pathname}`, { from: "shop@shop.example" });
  expect(await mail.send({ to: "ann@example.com", subject: "Hi", text: "Hi" })).toMatchObject({ created: true });
});
