import dns from "node:dns";
import { createTransport } from "nodemailer";
import type { Credentials } from "../../relay/smtp/auth.ts";
import { type AcceptedMail, startScriptedServer, TEST_AUTHORITY } from "../scripted_server.ts";
import { envelopeTo } from "../smtp/setup.ts";
import { openBlackHole } from "./black_hole.ts";
import { ANN, contentOf, messageId, onTheWire, type TransportFault } from "./fault.ts";
import { RunLab } from "./lab.ts";

/** After this a mail is given up, and told as one that hangs. */
export const PATIENCE_MS = 5_000;

/** Where minutes pass, server and nodemailer are both so many times as fast: it takes no clock as an argument. */
export const HASTE = 300;

/** How long, by its own clock, a server is watched after the last report where minutes pass. */
const AFTERMATH_MS = 5 * 60_000;

/** What nodemailer's waits are by default, so many times shorter. */
const HASTY_WAITS = {
  connectionTimeout: 120_000 / HASTE,
  greetingTimeout: 30_000 / HASTE,
  dnsTimeout: 30_000 / HASTE,
  socketTimeout: 600_000 / HASTE,
};

/** Runs a fault against nodemailer's pool. @returns what came out for each mail, its recipients separated by commas */
export async function runNodemailer(fault: TransportFault): Promise<readonly string[]> {
  const lab = new RunLab((callback, delayMs) => setTimeout(callback, delayMs / HASTE));
  const server = await startScriptedServer(fault.server?.(lab));
  lab.server = server;
  if (fault.way === "refused") await server.close();
  if (typeof fault.way === "object") answerNames(fault.way.lookup);
  const { tls = "none", auth, connections = 1, maxMailsPerConnection } = fault.client ?? {};
  const transport = createTransport({
    pool: true,
    host: typeof fault.way === "object" ? fault.way.host : "127.0.0.1",
    port: fault.way === "black hole" ? await openBlackHole() : server.port,
    name: "relay.example",
    secure: tls === "implicit",
    requireTLS: tls === "required",
    ignoreTLS: tls === "none",
    opportunisticTLS: tls === "opportunistic",
    tls: { ca: TEST_AUTHORITY.ca },
    maxConnections: connections,
    ...(maxMailsPerConnection === undefined ? {} : { maxMessages: maxMailsPerConnection }),
    ...(auth === undefined ? {} : { auth: loginFor(auth) }),
    ...(fault.passes === true ? HASTY_WAITS : {}),
  });

  const { mails = [[ANN]] } = fault;
  const send = (number: number): Promise<Reported> => {
    const { reversePath, recipients } = envelopeTo(...mails[number] ?? []);
    const envelope = { from: reversePath, to: recipients.map(({ email }) => email) };
    const sending = transport.sendMail({ envelope, raw: contentOf(fault, number) }).then(
      (info): Reported => ({
        accepted: info.accepted.map(String),
        refused: new Map(
          info.rejectedErrors?.map((
            error: Error & { readonly recipient?: string },
          ) => [String(error.recipient), codeOf(error)]),
        ),
      }),
      (error: Error): Reported => ({ error: codeOf(error) }),
    );
    const tooLong = new Promise<Reported>((resolve) => setTimeout(() => resolve("hangs"), PATIENCE_MS));
    return Promise.race([sending, tooLong]);
  };
  const reports: Reported[] = [];
  if (fault.isTogether === true) reports.push(...await Promise.all(mails.map((_, number) => send(number))));
  else {
    for (const number of mails.keys()) {
      if (number > 0) await fault.between?.(lab);
      reports.push(await send(number));
    }
  }
  transport.close();
  // What the server still does about mails that were given up.
  if (fault.passes === true) await lab.wait(AFTERMATH_MS);
  return mails.map((addresses, number) =>
    addresses.map((address) => told(reports[number] ?? "hangs", address, copiesOf(server.mails, number, address))).join(
      ", ",
    )
  );
}

type NodemailerLogin = { user: string; pass: string } | { type: "OAuth2"; user: string; accessToken: string };

function loginFor(auth: Credentials): NodemailerLogin {
  if ("password" in auth) return { user: auth.user, pass: auth.password };
  return { type: "OAuth2", user: auth.user, accessToken: auth.accessToken() };
}

/** What nodemailer says of one mail. */
type Reported =
  | { readonly accepted: readonly string[]; readonly refused: ReadonlyMap<string, string> }
  | { readonly error: string }
  | "hangs";

/** What it says of one recipient, against what the server has. */
function told(reported: Reported, address: string, copies: number): string {
  const isAccepted = typeof reported === "object" && "accepted" in reported && reported.accepted.includes(address);
  if (isAccepted) return copies === 1 ? "sent" : copies === 0 ? "reported as sent but not delivered" : "sent twice";
  const said = reported === "hangs"
    ? `hangs (gave up after ${PATIENCE_MS / 1_000} s)`
    : "error" in reported
    ? `error ${reported.error}`
    : `refused ${reported.refused.get(address) ?? ""}`.trim();
  return copies === 0 ? said : copies === 1 ? `${said} but delivered` : `${said} but delivered ${copies} times`;
}

function copiesOf(ledger: readonly AcceptedMail[], number: number, address: string): number {
  const isThis = ({ content, recipients }: AcceptedMail): boolean =>
    content.includes(messageId(number)) && recipients.includes(onTheWire(address));
  return ledger.filter(isThis).length;
}

function codeOf(error: Error): string {
  const code = "code" in error ? String(error.code) : error.name;
  return "responseCode" in error && error.responseCode !== undefined ? `${code} ${error.responseCode}` : code;
}

/** nodemailer asks `node:dns` itself: what it gets is what the fault says. */
function answerNames(lookup: (host: string, options: { all: true }, done: Done) => void): void {
  class Resolver {
    resolve4(host: string, done: (error: Error | null, addresses: string[]) => void): void {
      lookup(host, { all: true }, (error, addresses) => done(error, ofFamily(addresses, 4)));
    }
    resolve6(host: string, done: (error: Error | null, addresses: string[]) => void): void {
      lookup(host, { all: true }, (error, addresses) => done(error, ofFamily(addresses, 6)));
    }
    cancel(): void {}
  }
  Object.assign(dns, {
    Resolver,
    lookup: (host: string, _: unknown, done: Done) => lookup(host, { all: true }, done),
  });
}

type Addresses = string | readonly { readonly address: string; readonly family: number }[];
type Done = (error: Error | null, addresses: Addresses) => void;

function ofFamily(addresses: Addresses, wanted: number): string[] {
  if (typeof addresses === "string") return [];
  return addresses.filter(({ family }) => family === wanted).map(({ address }) => address);
}
