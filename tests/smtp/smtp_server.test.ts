import { expect, test } from "bun:test";
import type { AddressInfo } from "node:net";
import { SMTPServer } from "smtp-server";
import { createSmtpTransport } from "../../relay/smtp/smtp.ts";
import { TEST_AUTHORITY } from "../scripted_server.ts";
import { CONTENT, envelopeTo, NEVER, outcomesOf, troubleIn } from "./setup.ts";

interface Received {
  readonly user: string | undefined;
  readonly recipients: readonly string[];
  readonly content: string;
  readonly isTls: boolean;
}

for (const method of ["PLAIN", "LOGIN"]) {
  test(`the smtp-server of nodemailer takes mails over STARTTLS with AUTH ${method}`, async () => {
    const received: Received[] = [];
    const server = new SMTPServer({
      ...TEST_AUTHORITY.issue(["localhost"]),
      authMethods: [method],
      onAuth: ({ username, password }, _session, done) => {
        if (username === "jörg" && password === "pä ss") return done(null, { user: username });
        done(new Error("Who are you"));
      },
      onRcptTo: ({ address }, _session, done) => {
        done(address.startsWith("bad") ? Object.assign(new Error("No such user"), { responseCode: 550 }) : null);
      },
      onData: (stream, session, done) => {
        const chunks: Buffer[] = [];
        stream.on("data", (chunk: Buffer) => chunks.push(chunk));
        stream.on("end", () => {
          received.push({
            user: session.user === undefined ? undefined : String(session.user),
            recipients: session.envelope.rcptTo.map(({ address }) => address),
            content: Buffer.concat(chunks).toString(),
            isTls: session.secure,
          });
          done();
        });
      },
    });
    // It reports failed handshakes here, and ends the process when nobody listens.
    server.on("error", () => undefined);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
    const { port } = server.server.address() as AddressInfo;
    const options = {
      host: "localhost",
      port,
      tls: "required",
      ehloName: "relay.example",
      ca: TEST_AUTHORITY.ca,
    } as const;

    const transport = createSmtpTransport({ ...options, auth: { user: "jörg", password: "pä ss" }, connections: 2 });
    const deliveries = await Promise.all(
      Array.from(
        { length: 20 },
        () => transport.send(envelopeTo("ann@corp.example", "bad@corp.example"), CONTENT, NEVER),
      ),
    );
    for (const delivery of deliveries) {
      expect(outcomesOf(delivery)).toEqual(["sent final 250", "bounced rcpt recipient 550"]);
    }
    expect(received).toHaveLength(20);
    expect(received[0]).toEqual({
      user: "jörg",
      recipients: ["ann@corp.example"],
      content: new TextDecoder().decode(CONTENT),
      isTls: true,
    });
    await transport.close();

    const stranger = createSmtpTransport({ ...options, auth: { user: "jörg", password: "wrong" } });
    const trouble = troubleIn(await stranger.send(envelopeTo("ann@corp.example"), CONTENT, NEVER));
    expect(trouble).toMatchObject({ code: "auth_rejected", phase: "auth" });
    await stranger.close();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });
}
