import { expect, test } from "bun:test";
import { probe, probeCertificate } from "../../relay/smtp/probe.ts";
import { type ScriptedServerOptions, startScriptedServer, TEST_AUTHORITY } from "../scripted_server.ts";
import { selfSigned } from "./certificate.ts";

const LOGIN = { user: "ann", password: "s3cret" };
const BASE = { host: "127.0.0.1", ehloName: "relay.example", ca: TEST_AUTHORITY.ca };

test("a probe of a plain server shows its banner and what it offers, and says QUIT", async () => {
  await using server = await startScriptedServer({ offer: ["PIPELINING", "SIZE 1000"] });
  const report = await probe({ ...BASE, port: server.port, tls: "none" });
  expect(report).toMatchObject({
    banner: "220 scripted.example ESMTP",
    offeredPlain: { pipelining: true, maxSizeBytes: 1000 },
    offeredSecure: undefined,
    tls: undefined,
    isLoggedIn: false,
    trouble: undefined,
  });
  expect(server.transcripts[0]?.client).toBe("EHLO relay.example\r\nQUIT\r\n");
});

test.each([["implicit", "implicit"], ["required", "starttls"]] as const)(
  "a probe with tls %s shows version, cipher and certificate, and logs in",
  async (tls, offered) => {
    const script: ScriptedServerOptions = { tls: offered, auth: LOGIN };
    await using server = await startScriptedServer(script);
    const report = await probe({ ...BASE, port: server.port, tls, auth: LOGIN });
    expect(report).toMatchObject({ isLoggedIn: true, trouble: undefined, offeredSecure: { pipelining: true } });
    expect(report.offeredPlain?.startTls).toBe(tls === "implicit" ? undefined : true);
    expect(report.tls?.version).toBe("TLSv1.3");
    expect(report.tls?.cipher).toMatch(/^TLS_/);
    expect(report.tls?.certificate).toMatchObject({ issuer: "Test authority", names: ["localhost", "127.0.0.1"] });
    const leftMs = (report.tls?.certificate?.notAfterMs ?? 0) - Date.now();
    expect(leftMs).toBeGreaterThan(0);
    expect(leftMs).toBeLessThan(2 * 86_400_000);
    expect(report.elapsedMs).toBeGreaterThan(0);
    expect(server.transcripts[0]?.client).toEndWith("QUIT\r\n");
    expect(server.mails).toEqual([]);
  },
);

test("a probe that fails keeps what it saw before", async () => {
  await using server = await startScriptedServer({ auth: { user: "ann", password: "other" } });
  const report = await probe({ ...BASE, port: server.port, tls: "none", auth: LOGIN, allowPlaintextAuth: true });
  expect(report).toMatchObject({
    banner: "220 scripted.example ESMTP",
    isLoggedIn: false,
    trouble: { code: "auth_rejected" },
  });
  expect([...report.offeredPlain?.auth ?? []]).toEqual(["PLAIN", "LOGIN"]);
});

test("a certificate that is not trusted is looked at without telling the server anything", async () => {
  await using server = await startScriptedServer({
    tls: "starttls",
    auth: LOGIN,
    certificate: selfSigned(["mx.corp.example"]),
  });
  const options = { ...BASE, port: server.port, tls: "required", auth: LOGIN } as const;
  const trusted = await probe(options);
  expect(trusted).toMatchObject({ trouble: { code: "tls_verify" }, tls: undefined });
  const facts = await probeCertificate(options);
  expect(facts?.certificate).toMatchObject({ issuer: "mx.corp.example", names: ["mx.corp.example"] });
  expect(server.transcripts.map(({ client }) => client).join()).not.toContain("AUTH");
});

test("a probe of nobody is trouble, and there is no certificate to look at", async () => {
  const server = await startScriptedServer();
  await server.close();
  const options = { ...BASE, port: server.port, tls: "implicit" } as const;
  expect(await probe(options)).toMatchObject({ banner: undefined, elapsedMs: 0, trouble: { code: "connect_refused" } });
  expect(await probeCertificate(options)).toBeUndefined();
});
