import { expect, test } from "bun:test";
import { authExchange, mechanismsFor } from "../../relay/smtp/auth.ts";
import { redact, redactReply } from "../../relay/smtp/redact.ts";
import { setup, troubleIn } from "./setup.ts";

const ANN = { user: "ann", password: "s3cret" };
const ANNS_LOGIN = { user: "ann", secret: "s3cret" };

test("a password goes by PLAIN before LOGIN, or by the one that is wanted; a token by XOAUTH2", () => {
  expect(mechanismsFor(ANN, undefined)).toEqual(["PLAIN", "LOGIN"]);
  expect(mechanismsFor(ANN, "LOGIN")).toEqual(["LOGIN"]);
  expect(mechanismsFor({ user: "ann", accessToken: () => "ya29" }, undefined)).toEqual(["XOAUTH2"]);
});

test("a mechanism that is wanted and not offered is trouble of the route", async () => {
  await using relay = await setup(
    { auth: ANN, on: { ehlo: () => "250-scripted.example\r\n250 AUTH PLAIN" } },
    { auth: ANN, authMechanism: "LOGIN", allowPlaintextAuth: true },
  );
  const { code, reason } = troubleIn(await relay.send("ann@corp.example"));
  expect({ code, reason }).toEqual({
    code: "auth_unavailable",
    reason: "The server offers AUTH PLAIN, and these credentials are for LOGIN",
  });
});

const OAUTH = { ehlo: () => "250-scripted.example\r\n250 AUTH XOAUTH2 PLAIN" };

test("XOAUTH2 sends the token of the moment with the command, a new one on each connection", async () => {
  const tokens = ["first", "second"];
  await using relay = await setup(
    { auth: ANN, on: { ...OAUTH, auth: () => "235 2.7.0 accepted" } },
    { auth: { user: "ann@corp.example", accessToken: () => tokens.shift() ?? "" }, allowPlaintextAuth: true },
  );
  await relay.send("ann@corp.example");
  relay.server.dropAll();
  await relay.server.whenEmpty();
  await relay.send("ann@corp.example");
  const said = relay.server.transcripts.map(({ client }) => /AUTH XOAUTH2 (\S+)/.exec(client)?.[1] ?? "");
  expect(said.map((response) => Buffer.from(response, "base64").toString())).toEqual([
    "user=ann@corp.example\x01auth=Bearer first\x01\x01",
    "user=ann@corp.example\x01auth=Bearer second\x01\x01",
  ]);
  expect(relay.dialogue.join("\n")).not.toContain(said[0]);
});

test("XOAUTH2 answers the 334 that says what is wrong with an empty line, and the 535 after it counts", async () => {
  const challenge = Buffer.from('{"status":"400"}').toString("base64");
  await using relay = await setup(
    {
      auth: ANN,
      on: {
        ...OAUTH,
        auth: async () => {
          relay.server.interject(`334 ${challenge}\r\n`);
          await relay.server.whenSaid("\r\n\r\n");
          return "535 5.7.8 the token is stale";
        },
      },
    },
    { auth: { user: "ann", accessToken: () => "stale" }, allowPlaintextAuth: true },
  );
  expect(troubleIn(await relay.send("ann@corp.example"))).toMatchObject({
    code: "auth_rejected",
    reason: "the token is ****",
  });
});

test("a token that cannot be had is trouble of the route, and its reason is kept", async () => {
  await using relay = await setup({ auth: ANN, on: OAUTH }, {
    auth: {
      user: "ann",
      accessToken: () => {
        throw new Error("Cannot read the token file: it is gone");
      },
    },
    allowPlaintextAuth: true,
  });
  const { code, reason } = troubleIn(await relay.send("ann@corp.example"));
  expect({ code, reason }).toEqual({ code: "auth_unavailable", reason: "Cannot read the token file: it is gone" });
});

test("PLAIN sends its response with the command, in UTF-8", () => {
  const { command, answers } = authExchange("PLAIN", { user: "jörg", secret: "pä📮" });
  expect(Buffer.from(command.slice("AUTH PLAIN ".length), "base64").toString()).toBe("\0jörg\0pä📮");
  expect(answers).toEqual([]);
});

test("PLAIN waits for the 334 when the command line would be too long", () => {
  const lengthOf = (characters: number): number =>
    authExchange("PLAIN", { user: "u", secret: "p".repeat(characters) }).command.length;
  // 499 characters are left for base64: at most 372 octets, of which 3 are not the password's.
  expect(lengthOf(369)).toBe(11 + 496);
  expect(lengthOf(370)).toBe("AUTH PLAIN".length);
  expect(authExchange("PLAIN", { user: "u", secret: "p".repeat(370) }).answers).toHaveLength(1);
});

test.each([["PLAIN"], ["LOGIN"]])("AUTH %s works on the wire", async (mechanism) => {
  const credentials = { user: "jörg", password: "pä ss📮" };
  await using relay = await setup({
    tls: "implicit",
    auth: credentials,
    on: { ehlo: () => `250-scripted.example\r\n250 AUTH ${mechanism}` },
  }, { tls: "implicit", auth: credentials });
  await relay.send("ann@corp.example");
  expect(relay.server.mails).toMatchObject([{ user: "jörg", isTls: true }]);
});

test("a long password works on the wire", async () => {
  const credentials = { user: "ann", password: "p".repeat(600) };
  await using relay = await setup({ tls: "implicit", auth: credentials }, { tls: "implicit", auth: credentials });
  await relay.send("ann@corp.example");
  expect(relay.server.mails).toMatchObject([{ user: "ann" }]);
});

test.each([
  ["535 5.7.8 no", "auth_rejected"],
  ["501 5.5.2 what", "auth_rejected"],
  ["454 4.7.0 later", "auth_unavailable"],
  ["421 4.3.2 closing", "shutting_down"],
  ["334 c29tZXRoaW5n", "protocol"],
  ["354 go on", "protocol"],
])("%p to AUTH is the trouble %s", async (answer, code) => {
  await using relay = await setup({ auth: ANN, on: { auth: () => answer } }, { auth: ANN, allowPlaintextAuth: true });
  const trouble = troubleIn(await relay.send("ann@corp.example"));
  expect(trouble).toMatchObject({ code, phase: "auth", reply: { code: Number(answer.slice(0, 3)) } });
  expect(relay.server.transcripts[0]?.client).not.toContain("MAIL");
});

test("a stripped AUTH is auth_unavailable and no mail goes out unauthenticated", async () => {
  await using relay = await setup({ tls: "implicit" }, { tls: "implicit", auth: ANN });
  expect(troubleIn(await relay.send("ann@corp.example"))).toMatchObject({ code: "auth_unavailable", phase: "auth" });
  expect(relay.server.transcripts[0]?.client).toBe("EHLO relay.example\r\n");
});

test("mechanisms that we do not speak are named", async () => {
  await using relay = await setup(
    { tls: "implicit", on: { ehlo: () => "250-x\r\n250 AUTH CRAM-MD5 XOAUTH2" } },
    { tls: "implicit", auth: ANN },
  );
  expect(troubleIn(await relay.send("ann@corp.example")).reason).toContain("CRAM-MD5, XOAUTH2");
});

test.each([["none"], ["opportunistic"]] as const)(
  "credentials do not go over a plain connection when tls is %s",
  async (tls) => {
    await using relay = await setup({ auth: ANN }, { tls, auth: ANN });
    expect(troubleIn(await relay.send("ann@corp.example"))).toMatchObject({ code: "tls_required", phase: "auth" });
    expect(relay.server.transcripts[0]?.client).toBe("EHLO relay.example\r\n");
  },
);

test("without credentials AUTH is not needed, offered or not", async () => {
  await using relay = await setup({ auth: ANN });
  await relay.send("ann@corp.example");
  expect(relay.server.mails).toMatchObject([{ user: undefined }]);
});

test("a server that repeats the credentials puts them into no error and no log", async () => {
  const token = Buffer.from("\0ann\0s3cret").toString("base64");
  await using relay = await setup(
    { auth: ANN, on: { auth: () => `535-5.7.8 AUTH PLAIN ${token}\r\n535 5.7.8 s3cret is wrong for ann` } },
    { auth: ANN, allowPlaintextAuth: true },
  );
  const delivery = await relay.send("ann@corp.example");
  const shown = JSON.stringify(delivery) + relay.dialogue.join("\n");
  expect(shown).toContain("AUTH PLAIN ****");
  for (const secret of [token, "s3cret"]) expect(shown).not.toContain(secret);
});

test("a server that says one reply too many with the credentials in it puts them into no log", async () => {
  const token = Buffer.from("\0ann\0s3cret").toString("base64");
  await using relay = await setup(
    { auth: ANN, on: { auth: () => ({ raw: `235 ok\r\n500 what is ${token}\r\n` }) } },
    { auth: ANN, allowPlaintextAuth: true },
  );
  const delivery = await relay.send("ann@corp.example");
  expect(JSON.stringify(delivery) + relay.dialogue.join("\n")).not.toContain(token);
});

test("a secret is redacted even where a long text is cut in its middle", () => {
  const token = Buffer.from("\0ann\0s3cret").toString("base64");
  const line = "x".repeat(1020) + token;
  const reply = redactReply({ code: 535, text: line.slice(0, 1024), lines: [line] }, ANNS_LOGIN);
  expect(reply.text).not.toContain(token.slice(0, 4));
});

test("redact() takes out every form of the credentials", () => {
  const forms = ["s3cret", "ann", btoa("s3cret"), btoa("ann"), btoa("\0ann\0s3cret")];
  expect(redact(forms.join(" "), ANNS_LOGIN)).toBe("**** **** **** **** ****");
});

test("redact() sees a user as a whole word only: of one called relay, or a, the words of the server are left", () => {
  const said = "554 5.7.1 relaying denied for relay (relay@corp.example), Relay.Log has a note";
  expect(redact(said, { user: "relay", secret: "s3cret" })).toBe(
    "554 5.7.1 relaying denied for **** (****@corp.example), Relay.Log has a note",
  );
  expect(redact("a bad pass: a", { user: "a", secret: "s3cret" })).toBe("**** bad pass: ****");
  // What stands for something in a pattern.
  expect(redact("who is a.b+(c)|[d]\\?", { user: "a.b+(c)|[d]\\", secret: "s3cret" })).toBe("who is ****?");
  // A password that has the user in it goes as a whole.
  expect(redact("no ann.1 here", { user: "ann", secret: "ann.1" })).toBe("no **** here");
});
