import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { SMTPServerDataStream } from "smtp-server";
import { installCommand } from "../optional_packages.ts";
import { openInboxDirectory } from "./inbox_directory.ts";

/** A mail as it was captured: the envelope that SMTP was told and the bytes that came after DATA. */
export interface InboxMail {
  /** Decimal digits; a later mail has a larger id. */
  readonly id: string;
  readonly receivedAt: Date;
  /** The reverse-path; empty for `<>`. */
  readonly from: string;
  /** Every recipient of the envelope, those of Bcc too. */
  readonly to: readonly string[];
  readonly content: Uint8Array;
}

/** A local SMTP server that keeps what it is given. */
export interface Inbox {
  readonly port: number;
  /** Returns what is kept, the newest first. */
  mails(): readonly InboxMail[];
  get(id: string): InboxMail | undefined;
  /** Calls the listener for each mail that arrives, until the returned function is called. */
  onArrival(listener: (mail: InboxMail) => void): () => void;
  /** Resolves with the first mail that fits, now or later; rejects when the signal aborts or the inbox stops. */
  waitFor(fits: (mail: InboxMail) => boolean, signal: AbortSignal): Promise<InboxMail>;
  stop(): Promise<void>;
}

/** Options of `startInbox`. */
export interface InboxOptions {
  /** Where the mails lie as .eml files, so that they survive a restart. Made when missing. */
  readonly directory: string;
  /** @default {0} any free port */
  readonly port?: number;
  /** The oldest mail goes when there are more. @default {500} */
  readonly maxMails?: number;
  /** The oldest mails go when they take more; a mail larger than this alone is refused. @default {67_108_864} */
  readonly maxBytes?: number;
  /** @default {Date.now} */
  readonly now?: () => number;
}

/**
 * Starts the local inbox: an SMTP server on loopback that delivers to nobody. Any login is accepted.
 *
 * @example Capture and stop
 * ```ts
 * import { mkdtemp } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 * import { startInbox } from "./inbox.ts";
 * const directory = await mkdtemp(`${tmpdir()}/inbox-`);
 * const inbox = await startInbox({ directory });
 * console.log(inbox.mails().length); // 0
 * await inbox.stop();
 * ```
 *
 * @throws {Error} when smtp-server is not installed, the port is taken or the directory cannot be used
 */
export async function startInbox(options: InboxOptions): Promise<Inbox> {
  const { directory, port = 0, maxMails = 500, maxBytes = 64 * 1_048_576, now = Date.now } = options;
  const { SMTPServer } = await import("smtp-server").catch((cause: unknown) => {
    throw new Error(
      `Cannot start the inbox: the package smtp-server is missing; run ${installCommand("smtp-server")}`,
      {
        cause,
      },
    );
  });
  const store = await openInboxDirectory(join(directory), { maxMails, maxBytes, now });
  const listeners = new Set<(mail: InboxMail) => void>();
  const stopping = new AbortController();

  const server = new SMTPServer({
    authOptional: true,
    allowInsecureAuth: true,
    disabledCommands: ["STARTTLS"], // its built-in key is public; nothing leaves this machine
    disableReverseLookup: true,
    logger: false,
    banner: "mailchute inbox: captures mail and delivers none",
    size: maxBytes,
    closeTimeout: 500,
    onAuth: (auth, _session, done) => done(null, { user: auth.username ?? "anyone" }),
    onData(stream, { envelope }, done) {
      const from = envelope.mailFrom === false ? "" : envelope.mailFrom.address;
      const to = envelope.rcptTo.map(({ address }) => address);
      readAll(stream)
        .then((content) => store.add({ from, to, content }))
        .then((mail) => {
          for (const listener of [...listeners]) listener(mail);
          done(null, `2.0.0 captured as ${mail.id}`);
        })
        .catch((error: unknown) => done(asReply(error)));
    },
  });
  // A client that breaks off is no reason to end the relay.
  const ignore = () => {};
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  }).catch((cause: unknown) => {
    throw new Error(`Cannot start the inbox: port ${port} cannot be used; choose another`, { cause });
  });
  server.on("error", ignore);

  function onArrival(listener: (mail: InboxMail) => void): () => void {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  async function stop(): Promise<void> {
    stopping.abort(new Error("Cannot wait for mail: the inbox has stopped"));
    await new Promise<void>((resolve) => server.close(resolve));
  }
  let stopped: Promise<void> | undefined; // closing twice would never end

  return {
    port: (server.server.address() as AddressInfo).port, // it listens on TCP, so this is no path and not null
    mails: () => store.mails(),
    get: (id) => store.get(id),
    onArrival,
    waitFor: (fits, signal) =>
      new Promise((resolve, reject) => {
        const ends = AbortSignal.any([signal, stopping.signal]);
        const abort = () => reject(ends.reason);
        if (ends.aborted) return abort();
        const present = store.mails().find(fits);
        if (present !== undefined) return resolve(present);
        const forget = onArrival((mail) => {
          if (!fits(mail)) return;
          forget();
          ends.removeEventListener("abort", abort);
          resolve(mail);
        });
        ends.addEventListener("abort", () => forget(), { once: true });
        ends.addEventListener("abort", abort, { once: true });
      }),
    stop: () => stopped ??= stop(),
  };
}

class TooLarge extends Error {}

async function readAll(stream: SMTPServerDataStream): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) {
    // Read on to the final dot, but keep nothing: the reply can come only after it (RFC 5321 section 4.1.1.4).
    if (stream.sizeExceeded) parts.length = 0;
    else parts.push(part);
  }
  if (stream.sizeExceeded) throw new TooLarge("5.3.4 the mail is larger than the whole inbox");
  return Buffer.concat(parts);
}

function asReply(error: unknown): Error {
  const text = error instanceof TooLarge ? error.message : "4.3.0 the inbox cannot write its file";
  return Object.assign(new Error(text, { cause: error }), { responseCode: error instanceof TooLarge ? 552 : 451 });
}
