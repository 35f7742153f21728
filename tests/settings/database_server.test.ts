import { expect, test } from "bun:test";
import { readDatabases } from "../../relay/config.ts";
import { checkDatabaseCertificates } from "../../relay/settings/certificates.ts";
import type { DatabaseTls } from "../../relay/settings/database_tls.ts";
import { createAuthority } from "../smtp/certificate.ts";

const authority = createAuthority();
const ours = authority.issue(["relay"]);
const FILES: Readonly<Record<string, string>> = {
  ...{ "/ca": authority.ca, "/cert": ours.cert, "/key": ours.key, "/other-key": authority.issue(["other"]).key },
  ...{ "/text": "no PEM", "/torn": authority.ca.slice(0, 100) },
};

function read(parameters: string, server = "db.example.com") {
  const readFile = (path: string) => {
    const text = FILES[path];
    if (text === undefined) throw Object.assign(new Error(`no ${path}`), { code: "ENOENT" });
    return text;
  };
  const databases = readDatabases({ DATABASE_URL: `postgres://relay:hidden@${server}/shop${parameters}` }, readFile);
  checkDatabaseCertificates(databases);
  const [home] = databases;
  if (home?.kind !== "postgres") throw new Error("unexpected");
  return home;
}

const READ: readonly (readonly [parameters: string, tls: DatabaseTls])[] = [
  ["", { mode: "disable" }],
  ["?ssl=true", { mode: "verify-full" }],
  ["?ssl=false", { mode: "disable" }],
  ["?ssl=require", { mode: "require" }],
  ["?sslmode=allow", { mode: "allow" }],
  ["?sslmode=verify-full", { mode: "verify-full" }],
  ["?sslrootcert=system", { mode: "verify-full" }],
  ["?sslmode=require&sslrootcert=/ca", { mode: "verify-ca", ca: authority.ca }],
  ["?sslrootcert=/ca", { mode: "verify-full", ca: authority.ca }],
];

test.each(READ)("%p is read as libpq reads it", (parameters, tls) => {
  expect(read(parameters).tls).toEqual(tls);
});

test.each([
  ["?sslmode=foo", "sslmode=foo is none of disable, allow, prefer, require, verify-ca, verify-full; write sslmode="],
  ["?sslmode=", "sslmode= is none of disable"],
  ["?ssl=yes", "sslmode=yes is none of"],
  ["?sslmode=prefer&sslrootcert=/ca", "with sslmode=prefer sslrootcert=/ca has no meaning; write sslmode=verify-full"],
  ["?sslmode=require&sslrootcert=system", "with sslmode=require sslrootcert=system has no meaning"],
  ["?sslmode=require&sslcert=/cert", "sslcert and sslkey belong together; give both, or neither"],
  ["?sslcert=/cert&sslkey=/key", "with sslmode=disable sslcert has no meaning"],
  ["?sslrootcert=/text", 'the file "/text" that sslrootcert names holds no PEM certificate'],
  ["?sslrootcert=/torn", "what sslrootcert names cannot be read as a PEM certificate"],
  ["?sslrootcert=/none", "DATABASE_URL names"],
  ["?sslmode=require&sslcert=/cert&sslkey=/text", 'the file "/text" that sslkey names holds no PEM private key'],
  ["?sslmode=require&sslcert=/cert&sslkey=/other-key", "the client certificate and the key do not belong together"],
])("%p is refused", (parameters, says) => {
  expect(() => read(parameters)).toThrow(says);
  expect(() => read(parameters)).not.toThrow("hidden");
});

test("a port is one that there is, wherever it stands", () => {
  for (const [server, parameters] of [["db:0", ""], ["db", "?port=0"], ["db", "?port=many"], ["db", "?port=65536"]]) {
    expect(() => read(parameters as string, server)).toThrow(
      "Cannot use DATABASE_URL: its port is none from 1 to 65535; write postgres://user:password@host:5432/name",
    );
  }
  expect(read("", "db:65535").display).toBe("db:65535/shop");
  expect(read("?port=5433").display).toBe("db.example.com:5433/shop");
});

test("what is percent-encoded is UTF-8, in the host as in the password", () => {
  for (const server of ["%FF", "x:%FC@db"]) {
    expect(() => read("", server)).toThrow("Cannot use DATABASE_URL: a %… in it is no UTF-8; write ü as %C3%BC");
  }
});

test("a host is shown as it is found: IPv6 in brackets, a socket by its folder", () => {
  expect(read("", "[fd00::1]:5433").display).toBe("[fd00::1]:5433/shop");
  expect(read("", "%2Frun%2Fpostgresql").display).toBe("/run/postgresql/shop");
});
