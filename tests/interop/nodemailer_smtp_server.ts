import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import { createAuthority } from "../smtp/certificate.ts";
import { BOXES, CREDENTIALS, DOMAIN, type Entrance, HOST, type MailServer, MAX_MAIL_BYTES } from "./mail_server.ts";

/** Starts nodemailer's smtp-server in this process, one for each entrance; its boxes are in memory. */
export async function startSmtpServer(): Promise<MailServer> {
  const authority = createAuthority();
  const certificate = authority.issue([HOST]);
  const boxes = new Map<string, Uint8Array[]>(BOXES.map((box) => [box, []]));
  const watchers = new Set<() => void>();
  const common: SMTPServerOptions = {
    ...certificate,
    size: MAX_MAIL_BYTES,
    // It would look up the client's name.
    disableReverseLookup: true,
    onAuth({ username, password }, _session, done) {
      if (username === CREDENTIALS.user && password === CREDENTIALS.password) return done(null, { user: username });
      done(Object.assign(new Error("Who are you"), { responseCode: 535 }));
    },
    onRcptTo({ address }, _session, done) {
      done(
        boxOf(address, boxes) === undefined ? Object.assign(new Error("No such user"), { responseCode: 550 }) : null,
      );
    },
    onData(stream, session, done) {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => {
        const mail = Buffer.from(Buffer.concat(chunks).toString("latin1").replaceAll("\r\n", "\n"), "latin1");
        for (const { address } of session.envelope.rcptTo) boxOf(address, boxes)?.push(new Uint8Array(mail));
        for (const watcher of [...watchers]) watcher();
        done();
      });
    },
  };
  const servers: Readonly<Record<Entrance, SMTPServer>> = {
    plain: new SMTPServer({ ...common, disabledCommands: ["AUTH", "STARTTLS"] }),
    submission: new SMTPServer({ ...common, authMethods: ["PLAIN"] }),
    login: new SMTPServer({ ...common, authMethods: ["LOGIN"] }),
    implicit: new SMTPServer({ ...common, secure: true, authMethods: ["PLAIN"] }),
  };
  await Promise.all(
    Object.values(servers).map(async (server) => {
      // It reports failed handshakes here, and ends the process when nobody listens.
      server.on("error", () => undefined);
      await once(server.listen(0, "127.0.0.1"), "listening");
    }),
  );
  return {
    port: (entrance) => (servers[entrance].server.address() as AddressInfo).port,
    ca: authority.ca,
    mails: (box, count) =>
      new Promise((resolve) => {
        const look = () => {
          const mails = boxes.get(box) ?? [];
          if (mails.length < count) return;
          watchers.delete(look);
          resolve([...mails]);
        };
        watchers.add(look);
        look();
      }),
    async [Symbol.asyncDispose]() {
      await Promise.all(
        Object.values(servers).map((server) => new Promise<void>((resolve) => server.close(() => resolve()))),
      );
    },
  };
}

function boxOf(address: string, boxes: ReadonlyMap<string, Uint8Array[]>): Uint8Array[] | undefined {
  const [box = "", domain] = address.split("@");
  return domain === DOMAIN ? boxes.get(box) : undefined;
}
