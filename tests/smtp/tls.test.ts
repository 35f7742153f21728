import { expect, test } from "bun:test";
import type { ScriptedServerOptions } from "../scripted_server.ts";
import { TEST_AUTHORITY } from "../scripted_server.ts";
import { createAuthority, selfSigned } from "./certificate.ts";
import { outcomesOf, setup, troubleIn } from "./setup.ts";

const MODES = [["implicit", "implicit"], ["required", "starttls"], ["opportunistic", "starttls"]] as const;
const VERIFIED = [["implicit", "implicit"], ["required", "starttls"]] as const;

test.each(MODES)("tls %s sends over TLS", async (tls, offered) => {
  for (const host of ["localhost", "127.0.0.1"]) {
    await using relay = await setup({ tls: offered }, { tls, host });
    expect(outcomesOf(await relay.send("ann@corp.example"))).toEqual(["sent final 250"]);
    expect(relay.server.mails).toMatchObject([{ isTls: true }]);
  }
});

test.each(VERIFIED)("tls %s refuses a certificate for another host, loopback or not", async (tls, offered) => {
  for (const host of ["localhost", "127.0.0.1"]) {
    const certificate = TEST_AUTHORITY.issue(["mx.corp.example", "127.0.0.2"]);
    await using relay = await setup({ tls: offered, certificate }, { tls, host });
    expect(troubleIn(await relay.send("ann@corp.example"))).toMatchObject({ code: "tls_verify" });
    expect(relay.server.transcripts[0]?.client).not.toContain("MAIL");
  }
});

test.each(VERIFIED)(
  "tls %s refuses certificates that are self-signed, expired or of another authority",
  async (tls, offered) => {
    const names = ["127.0.0.1", "localhost"];
    const certificates = [
      selfSigned(names),
      TEST_AUTHORITY.issue(names, { expired: true }),
      createAuthority().issue(names),
    ];
    for (const certificate of certificates) {
      await using relay = await setup({ tls: offered, certificate }, { tls });
      expect(troubleIn(await relay.send("ann@corp.example"))).toMatchObject({
        code: "tls_verify",
        phase: tls === "implicit" ? "connect" : "starttls",
      });
    }
  },
);

test("tls implicit refuses a good certificate when the authority is not given", async () => {
  await using relay = await setup({ tls: "implicit" }, { tls: "implicit", ca: undefined });
  expect(troubleIn(await relay.send("ann@corp.example"))).toMatchObject({ code: "tls_verify" });
});

test("tls opportunistic takes any certificate, but not with credentials", async () => {
  const certificate = selfSigned(["mx.corp.example"]);
  const auth = { user: "ann", password: "s3cret" };
  await using open = await setup({ tls: "starttls", certificate }, { tls: "opportunistic" });
  expect(outcomesOf(await open.send("ann@corp.example"))).toEqual(["sent final 250"]);
  await using guarded = await setup({ tls: "starttls", certificate, auth }, { tls: "opportunistic", auth });
  expect(troubleIn(await guarded.send("ann@corp.example"))).toMatchObject({ code: "tls_verify" });
});

test("stripped STARTTLS: tls required says nothing after EHLO", async () => {
  await using relay = await setup({}, { tls: "required" });
  expect(troubleIn(await relay.send("ann@corp.example"))).toMatchObject({ code: "tls_required", phase: "ehlo" });
  expect(relay.server.transcripts[0]?.client).toBe("EHLO relay.example\r\n");
});

test.each(["454 4.7.0 not now", "502 5.5.1 what"])(
  "%p to STARTTLS is tls_required when TLS is required",
  async (answer) => {
    await using relay = await setup({ tls: "starttls", on: { starttls: () => answer } }, { tls: "required" });
    expect(troubleIn(await relay.send("ann@corp.example"))).toMatchObject({ code: "tls_required", phase: "starttls" });
    expect(relay.server.transcripts[0]?.client).toBe("EHLO relay.example\r\nSTARTTLS\r\n");
  },
);

test("454 to STARTTLS lets opportunistic TLS go on without", async () => {
  await using relay = await setup({ tls: "starttls", on: { starttls: () => "454 4.7.0 not now" } }, {
    tls: "opportunistic",
  });
  expect(outcomesOf(await relay.send("ann@corp.example"))).toEqual(["sent final 250"]);
  expect(relay.server.mails).toMatchObject([{ isTls: false }]);
});

test("tls none does not use STARTTLS that is offered", async () => {
  await using relay = await setup({ tls: "starttls" }, { tls: "none" });
  await relay.send("ann@corp.example");
  expect(relay.server.mails).toMatchObject([{ isTls: false }]);
});

const INJECTED = ["250-evil\r\n250 PIPELINING\r\n", "2", "\r\n"];
test.each(INJECTED)("STARTTLS injection: %p behind the 220 in one segment is tls_injection", async (injected) => {
  const script: ScriptedServerOptions = { tls: "starttls", on: { starttls: () => ({ raw: `220 go\r\n${injected}` }) } };
  await using relay = await setup(script, { tls: "required" });
  expect(troubleIn(await relay.send("ann@corp.example"))).toMatchObject({ code: "tls_injection", phase: "starttls" });
  expect(relay.server.transcripts[0]?.client).toBe("EHLO relay.example\r\nSTARTTLS\r\n");
});

test("STARTTLS injection: plain bytes in a later segment never become a reply", async () => {
  await using relay = await setup({
    tls: "starttls",
    on: {
      starttls: async () => {
        relay.server.interject("220 go\r\n");
        // A turn of the event loop: the next bytes come after the client has begun its handshake.
        await new Promise((resolve) => setImmediate(resolve));
        return { raw: "250-evil\r\n250 AUTH PLAIN\r\n" };
      },
    },
  }, { tls: "required" });
  const trouble = troubleIn(await relay.send("ann@corp.example"));
  expect(["tls_injection", "tls_handshake"]).toContain(trouble.code);
  expect(relay.server.transcripts[0]?.client).not.toContain("MAIL");
});

test("capabilities are forgotten with TLS: what only the plain EHLO offered is not used", async () => {
  await using relay = await setup({
    tls: "starttls",
    on: {
      ehlo: (_, { isTls }) =>
        isTls ? "250-secure\r\n250 8BITMIME" : "250-plain\r\n250-PIPELINING\r\n250-SIZE 1\r\n250 STARTTLS",
    },
  }, { tls: "required" });
  await relay.send("ann@corp.example");
  expect(relay.server.mails).toMatchObject([{ parameters: "", isTls: true }]);
});

test("a server that closes in the handshake is trouble in the phase starttls", async () => {
  await using relay = await setup({
    tls: "starttls",
    on: { starttls: () => ({ close: "220 go" }) },
  }, { tls: "required" });
  const trouble = troubleIn(await relay.send("ann@corp.example"));
  expect(trouble.phase).toBe("starttls");
  expect(["closed", "tls_handshake"]).toContain(trouble.code);
});

test("plain SMTP on a port for implicit TLS is trouble, and nothing is sent in plain text", async () => {
  await using relay = await setup({}, { tls: "implicit" });
  expect(troubleIn(await relay.send("ann@corp.example"))).toMatchObject({ code: "tls_handshake", phase: "connect" });
  expect(relay.server.transcripts[0]?.client).not.toContain("EHLO");
});
