import { expect } from "bun:test";
import type { Delivery } from "../../relay/delivery/transport.ts";
import { createSmtpTransport, type SmtpOptions } from "../../relay/smtp/smtp.ts";
import { testWith } from "../debian.ts";
import { CONTENT, envelopeTo, NEVER, outcomesOf } from "../smtp/setup.ts";
import { SINK, startSink } from "./sink.ts";

// Each command of the dialogue refused for good and for now, dropped without a word and with 421, and answered too
// late: what relay/smtp/outcome.ts and ending.ts say of it, from a server that others wrote.

const NEEDED = { program: SINK, package: "postfix" };
const LARGE = new TextEncoder().encode(`Subject: large\r\n\r\n${`${"x".repeat(98)}\r\n`.repeat(50_000)}`);

interface Fault {
  readonly options: readonly string[];
  readonly becomes: string;
  /** What else may come of it, by chance. */
  readonly or?: string;
  readonly content?: Uint8Array;
  readonly timeouts?: SmtpOptions["timeouts"];
}

const SOON = 200;

const FAULTS: readonly Fault[] = [
  { options: ["-f", "CONNECT"], becomes: "greeting_refused greeting 500" },
  // RFC 5321 section 3.2: an old server; HELO then.
  { options: ["-f", "EHLO"], becomes: "sent final 250" },
  { options: ["-f", "EHLO,HELO"], becomes: "greeting_refused ehlo 500" },
  { options: ["-f", "MAIL"], becomes: "bounced mail sender 500" },
  { options: ["-f", "RCPT"], becomes: "bounced rcpt recipient 500" },
  { options: ["-f", "DATA"], becomes: "bounced data message 500" },
  { options: ["-f", "."], becomes: "bounced final message 500" },
  { options: ["-f", "QUIT"], becomes: "sent final 250" },
  // The RSET between the two is refused: the second goes over a connection of its own.
  { options: ["-f", "RCPT,RSET"], becomes: "bounced rcpt recipient 500" },
  { options: ["-f", "DATA", "-q", "RSET"], becomes: "bounced data message 500" },
  { options: ["-f", "DATA", "-Q", "RSET"], becomes: "bounced data message 500" },

  { options: ["-r", "CONNECT"], becomes: "greeting_refused greeting 450" },
  { options: ["-r", "EHLO"], becomes: "greeting_refused ehlo 450" },
  { options: ["-r", "MAIL"], becomes: "deferred mail sender 450" },
  { options: ["-r", "RCPT"], becomes: "deferred rcpt recipient 450" },
  { options: ["-r", "DATA"], becomes: "deferred data route 450" },
  { options: ["-r", "."], becomes: "deferred final route 450" },
  { options: ["-r", "RCPT,RSET"], becomes: "deferred rcpt recipient 450" },
  { options: ["-r", "MAIL", "-b", "452 4.5.3 enough"], becomes: "shutting_down mail 452" },
  { options: ["-r", "RCPT", "-b", "454 4.7.0 later"], becomes: "deferred rcpt route 454" },
  { options: ["-f", "RCPT", "-B", "552 5.2.2 full"], becomes: "deferred rcpt recipient 552" },
  { options: ["-f", "MAIL", "-B", "530 5.7.0 AUTH first"], becomes: "auth_required mail 530" },
  { options: ["-f", ".", "-B", "554 5.7.1 spam"], becomes: "bounced final message 554" },

  { options: ["-q", "CONNECT"], becomes: "closed greeting none" },
  { options: ["-q", "EHLO"], becomes: "closed ehlo none" },
  { options: ["-q", "MAIL"], becomes: "closed mail none" },
  { options: ["-q", "RCPT"], becomes: "deferred rcpt network none" },
  { options: ["-q", "DATA"], becomes: "deferred data network none" },
  { options: ["-q", "."], becomes: "uncertain final network none" },
  { options: ["-q", "QUIT"], becomes: "sent final 250" },
  { options: ["-q", "DATA"], becomes: "deferred data network none", content: LARGE },
  { options: ["-q", "."], becomes: "uncertain final network none", content: LARGE },

  { options: ["-Q", "CONNECT"], becomes: "shutting_down greeting 421" },
  { options: ["-Q", "EHLO"], becomes: "shutting_down ehlo 421" },
  { options: ["-Q", "MAIL"], becomes: "shutting_down mail 421" },
  { options: ["-Q", "RCPT"], becomes: "deferred rcpt route 421" },
  { options: ["-Q", "DATA"], becomes: "deferred data route 421" },
  { options: ["-Q", "."], becomes: "deferred final route 421" },
  { options: ["-Q", "QUIT"], becomes: "sent final 250" },

  // It closes with our content unread, so that its kernel says RST, which may take the 550 with it.
  { options: ["-A", "0"], becomes: "bounced body message 550", or: "deferred body network none", content: LARGE },
  { options: ["-w", "1"], becomes: "sent final 250" },
  { options: ["-W", "CONNECT:1"], becomes: "timeout greeting none", timeouts: { greetingMs: SOON } },
  { options: ["-W", "EHLO:1"], becomes: "timeout ehlo none", timeouts: { ehloMs: SOON } },
  { options: ["-W", "MAIL:1"], becomes: "timeout mail none", timeouts: { mailMs: SOON } },
  { options: ["-W", "RCPT:1"], becomes: "deferred rcpt network none", timeouts: { rcptMs: SOON } },
  { options: ["-w", "1"], becomes: "deferred data network none", timeouts: { dataMs: SOON } },
  { options: ["-W", ".:1"], becomes: "uncertain final network none", timeouts: { finalMs: SOON } },
  { options: ["-W", ".:1"], becomes: "sent final 250", timeouts: { dataMs: SOON } },
  { options: ["-W", "QUIT:1"], becomes: "sent final 250", timeouts: { quitMs: SOON } },
];

for (const isPipelined of [true, false]) {
  for (const { options, becomes, or = becomes, content = CONTENT, timeouts = {} } of FAULTS) {
    const shown = `${options.join(" ")}${content === LARGE ? ", a large mail" : ""}${
      Object.keys(timeouts).map((name) => `, short ${name}`)
    }`;
    // -f and -r switch PIPELINING off; with it, -w and -W hold back the replies before theirs too, or answer out of
    // turn.
    if (isPipelined && !/^-[qQA]/.test(options[0] as string)) continue;
    testWith(
      NEEDED,
      `smtp-sink ${shown}${isPipelined ? "" : ", without PIPELINING"}: ${becomes}, for a second mail too`,
      async () => {
        await using sink = await startSink(...isPipelined ? [] : ["-p"], ...options);
        await using way = createWay({ port: sink.port, timeouts });
        for (const _ of [1, 2]) {
          const found = shownAs(await way.transport.send(envelopeTo("ann@corp.example"), content, NEVER));
          expect([becomes, or]).toContain(found);
        }
      },
      60_000,
    );
  }
}

function createWay(options: Partial<SmtpOptions> & { readonly port: number }) {
  const fixed = { host: "127.0.0.1", tls: "none", ehloName: "relay.example", connections: 1 } as const;
  const transport = createSmtpTransport({ ...fixed, ...options });
  return { transport, [Symbol.asyncDispose]: () => transport.close() };
}

/** What became of the one recipient, or the trouble of the route. */
function shownAs(delivery: Delivery): string {
  if (delivery.kind === "attempted") return outcomesOf(delivery).join(", ");
  const { code, phase, reply } = delivery.trouble;
  return `${code} ${phase} ${reply?.code ?? "none"}`;
}
