import { connect } from "node:net";
import type { RelayStatus, StatusSource } from "../../relay/http/status_source.ts";
import type { Inbox, InboxMail } from "../../relay/mail/inbox.ts";

/** A status in which all is well. */
export const STATUS: RelayStatus = {
  version: "0.1.0",
  playground: false,
  startedAt: new Date("2026-11-21T12:00:00Z"),
  databases: [{ name: "home", reachable: true, schemaVersion: 1, oldestDueSeconds: 75, inFlight: 2, listening: true }],
  routes: [{
    ...{ name: "default", state: "closed", connections: 4 },
    attempts: { sent: 10_423, deferred: 12, bounced: 3, uncertain: 1 },
  }],
  counters: {
    sent: 10_423,
    deferred: 12,
    bounced: 3,
    uncertain: 1,
    failed: 4,
    expired: 5,
    suppressed: 6,
    settledStale: 7,
  },
};

/** A relay that is well and has nothing to say. */
export const QUIET_SOURCE: StatusSource = {
  alive: () => true,
  ready: () => Promise.resolve({ ok: true, reasons: [] }),
  status: () => Promise.resolve(STATUS),
};

/** Speaks SMTP to the inbox over a socket, waiting for each reply, and returns the mail that arrived. */
export async function sendMail(
  inbox: Inbox,
  content: string,
  envelope: { readonly from?: string; readonly to?: readonly string[] } = {},
): Promise<InboxMail> {
  const { from = "shop@example.com", to = ["ann@example.com"] } = envelope;
  const known = new Set(inbox.mails().map(({ id }) => id));
  const stuffed = content.replace(/^\./gm, "..");
  const replies = await talk(inbox.port, [
    "EHLO test\r\n",
    `MAIL FROM:<${from}>\r\n`,
    ...to.map((address) => `RCPT TO:<${address}>\r\n`),
    "DATA\r\n",
    `${stuffed}\r\n.\r\n`,
    "QUIT\r\n",
  ]);
  const mail = inbox.mails().find(({ id }) => !known.has(id));
  if (mail === undefined) throw new Error(`the inbox did not take the mail: ${replies.join(" | ")}`);
  return mail;
}

/** Sends each line once the one before was answered; returns all replies, the greeting first. */
export function talk(port: number, lines: readonly string[]): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    const replies: string[] = [];
    const rest = [...lines];
    let text = "";
    const socket = connect(port, "127.0.0.1");
    socket.setEncoding("utf8");
    socket.on("error", reject);
    socket.on("close", () => resolve(replies));
    socket.on("data", (data) => {
      text += data;
      // RFC 5321 section 4.2: the last line of a reply has a blank after its code.
      const last = /(?:^|\n)\d{3} [^\n]*\n$/.exec(text);
      if (last === null) return;
      replies.push(text.trim());
      text = "";
      const next = rest.shift();
      if (next === undefined) socket.end();
      else socket.write(next);
    });
  });
}
