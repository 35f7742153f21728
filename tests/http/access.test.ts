import { expect, test } from "bun:test";
import { challenge, isHostAllowed, isLocal, isLoopback, judge, type Keys } from "../../relay/http/access.ts";
import { Secret } from "../../relay/settings/secret.ts";

const LOCAL = { listening: "127.0.0.1", peer: "127.0.0.1" };
const REMOTE = { listening: "0.0.0.0", peer: "192.0.2.7" };
const NO_KEYS: Keys = { adminPassword: undefined, metricsToken: undefined };
const KEYS: Keys = { adminPassword: new Secret("päss:wörd"), metricsToken: new Secret("tok3n") };

function basic(password: string, user = "anyone"): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}

function verdict(authorization: string | undefined, keys: Keys, accepts: readonly ("basic" | "bearer")[]) {
  const headers = new Headers(authorization === undefined ? {} : { authorization });
  return judge({ connection: REMOTE, headers }, { keys, accepts });
}

test("loopback is 127.0.0.0/8, ::1, IPv4 in IPv6 and localhost, and nothing that looks like it", () => {
  for (const yes of ["127.0.0.1", "127.255.0.9", "::1", "[::1]", "::ffff:127.0.0.1", "localhost", "LOCALHOST"]) {
    expect([yes, isLoopback(yes)]).toEqual([yes, true]);
  }
  const no = [
    "0.0.0.0",
    "::",
    "128.0.0.1",
    "127.0.0.1.evil.example",
    "127.0.0.256",
    "localhost.evil.example",
    "",
    "::ffff:10.0.0.1",
  ];
  for (const address of no) expect([address, isLoopback(address)]).toEqual([address, false]);
});

test("a request is local only when both ends are loopback and no proxy stands between", () => {
  expect(isLocal(LOCAL, new Headers())).toBe(true);
  expect(isLocal({ listening: "0.0.0.0", peer: "127.0.0.1" }, new Headers())).toBe(false);
  expect(isLocal({ listening: "127.0.0.1", peer: "192.0.2.7" }, new Headers())).toBe(false);
  expect(isLocal({ listening: "127.0.0.1" }, new Headers())).toBe(false);
  expect(isLocal({}, new Headers())).toBe(false);
  for (const name of ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"]) {
    expect(isLocal(LOCAL, new Headers({ [name]: "192.0.2.7" }))).toBe(false);
  }
});

test("attack: a rebound DNS name is refused on loopback", () => {
  for (const host of ["localhost", "localhost:8025", "127.0.0.1:1", "127.9.9.9", "[::1]:8025", "[::1]"]) {
    expect([host, isHostAllowed(LOCAL, host)]).toEqual([host, true]);
  }
  const bad = [
    "evil.example",
    "evil.example:8025",
    "127.0.0.1.evil.example",
    "localhost.",
    "localhost:8025@evil",
    "",
    "[::1",
    "0.0.0.0",
  ];
  for (const host of [...bad, null]) expect([host, isHostAllowed(LOCAL, host)]).toEqual([host, false]);
  expect(isHostAllowed(REMOTE, "relay.internal")).toBe(true);
});

test("without a key configured, everything is hidden from other machines", () => {
  for (const header of [undefined, basic(""), "Bearer ", "Bearer undefined"]) {
    expect(verdict(header, NO_KEYS, ["basic", "bearer"])).toBe("hidden");
  }
  expect(verdict("Bearer tok3n", { ...NO_KEYS, metricsToken: KEYS.metricsToken }, ["basic"])).toBe("hidden");
});

test("the password opens with any user name, also with a colon and umlauts in it", () => {
  expect(verdict(basic("päss:wörd"), KEYS, ["basic"])).toBe("allowed");
  expect(verdict(basic("päss:wörd", ""), KEYS, ["basic", "bearer"])).toBe("allowed");
});

test("the token opens only what takes tokens, and neither key opens in the other's place", () => {
  expect(verdict("Bearer tok3n", KEYS, ["basic", "bearer"])).toBe("allowed");
  expect(verdict("bearer tok3n", KEYS, ["basic", "bearer"])).toBe("allowed");
  expect(verdict("Bearer tok3n", KEYS, ["basic"])).toBe("wrong_key");
  expect(verdict(basic("tok3n"), KEYS, ["basic", "bearer"])).toBe("wrong_key");
  expect(verdict("Bearer päss:wörd".normalize(), KEYS, ["basic", "bearer"])).toBe("wrong_key");
});

test("each wrong or broken credential is refused", () => {
  expect(verdict(undefined, KEYS, ["basic"])).toBe("no_key");
  const bad = [
    basic("wrong"),
    basic("päss:wör"),
    basic("päss:wörd "),
    "Basic",
    "Basic !!!",
    `Basic ${btoa("nocolon")}`,
  ];
  for (const header of [...bad, "Basic /w==", "Bearer", "Bearer a b", "Digest tok3n", "tok3n", ""]) {
    expect([header, verdict(header, KEYS, ["basic", "bearer"])]).toEqual([header, "wrong_key"]);
  }
});

test("the challenge offers what would open the door", () => {
  expect(challenge(KEYS, ["basic", "bearer"])).toBe(
    'Basic realm="mailchute", charset="UTF-8", Bearer realm="mailchute"',
  );
  expect(challenge({ ...KEYS, adminPassword: undefined }, ["basic", "bearer"])).toBe('Bearer realm="mailchute"');
});
