import { type Mailbox, normalizeAddress, parseAddress } from "../../src/address.ts";
import { MailchuteError, type MailchuteErrorCode } from "../../src/error.ts";
import { parseMessage, SEND } from "../../src/message.ts";
import type { MessageInput } from "../../src/message_input.ts";
import { refusalOf } from "../../src/refusal.ts";
import { enqueue } from "../../src/statement.ts";
import { uuidv7 } from "../../src/uuid.ts";
import { SettingsError } from "../config.ts";
import { connect, DatabaseProblem, unreachable } from "../database/database.ts";
import { MissingReader } from "../mail/mail_parser.ts";
import { readSubmitted, type SubmittedMail, UnreadableMail } from "../mail/submitted_mail.ts";
import type { Clock } from "../time/clock.ts";
import {
  chooseDatabase,
  type Command,
  type CommandContext,
  DATABASE_OPTION,
  type Options,
  UsageError,
} from "./command.ts";

/** Exit codes of sysexits.h, by which programs that call sendmail decide. */
const SYSEXITS = { ok: 0, usage: 64, data: 65, noPermission: 77, tryAgain: 75, config: 78 } as const;

/** A mail with its attachments in base64 (25,000,000 bytes), and what stands around them. */
const MOST_BYTES = 50_000_000;

/** Options of sendmail that say nothing here: what errors are told to, tracing, delivery reports, hop counts. */
const IGNORED = {
  "body-type": { type: "string", short: "B" },
  "submit-as": { type: "string", short: "A" },
  notify: { type: "string", short: "N" },
  "report-size": { type: "string", short: "R" },
  "envelope-id": { type: "string", short: "V" },
  hops: { type: "string", short: "h" },
  "no-aliases": { type: "boolean", short: "n" },
  "me-too": { type: "boolean", short: "m" },
  verbose: { type: "boolean", short: "v" },
  "gateway-submission": { type: "boolean", short: "G" },
  "user-submission": { type: "boolean", short: "U" },
} as const;

/** What `send` is given of the machine it runs on. */
export interface SendMachine {
  readonly hostname: string;
  readonly clock: Pick<Clock, "now">;
}

/** `send`: puts one mail into the queue, as sendmail does. */
export function sendCommand(machine: SendMachine): Command {
  return {
    name: "send",
    usage:
      "[-t] [-i] [-f ADDRESS] [-F NAME] [ADDRESS…] < MAIL | --to ADDRESS… --subject TEXT [--text TEXT] [-f ADDRESS] [--domain NAME] [--database NAME]",
    summary:
      "put one mail into the queue, as sendmail does: a finished one from stdin, to these addresses or with -t to those of its header; or one of a few flags, whose text is stdin without --text. Exits with 64, 65, 75 and 77 as sysexits.h has them",
    takesWords: true,
    takesEmpty: "all",
    usageExit: SYSEXITS.usage,
    options: {
      "read-recipients": { type: "boolean", short: "t" },
      "ignore-dots": { type: "boolean", short: "i" },
      from: { type: "string", short: "f" },
      sender: { type: "string", short: "r" },
      name: { type: "string", short: "F" },
      option: { type: "string", short: "o", multiple: true },
      mode: { type: "string", short: "b" },
      to: { type: "string", multiple: true },
      subject: { type: "string" },
      text: { type: "string" },
      domain: { type: "string" },
      ...IGNORED,
      ...DATABASE_OPTION,
    },
    async run(context, words, options) {
      try {
        return await send(context, { words, options, machine });
      } catch (error) {
        const code = exitOf(error);
        if (code === undefined) throw error;
        context.tell(`mailchute: ${error instanceof Error ? error.message : error}`);
        return code;
      }
    },
  };
}

interface Given {
  readonly words: readonly string[];
  readonly options: Options;
  readonly machine: SendMachine;
}

/** Of a mail that is read already, nothing has to be waited for. */
const READ_MS = 30_000;

async function send(context: CommandContext, given: Given): Promise<number> {
  const { options, machine } = given;
  const byFlags = ["to", "subject", "text"].some((name) => options[name] !== undefined);
  const message = byFlags ? await fromFlags(context, given) : await fromMail(context, given);
  const request = await parseMessage(message, {}, READ_MS);
  const database = chooseDatabase(context, options.database);
  const id = uuidv7(machine.clock.now(), crypto.randomUUID());
  const { text, values } = enqueue(request, { id, idempotencyKey: undefined });
  const sql = connect(database);
  try {
    // Not as other commands do: a role that may enqueue, and nothing else, need not see the version of the schema.
    await sql.unsafe(text, values).catch((error) => {
      const refusal = refusalOf(error, SEND);
      // Of this one the client's words send to the cause, which nobody sees here.
      throw refusal.code === "database_error" ? unreachable(database.name, database.display, error) : refusal;
    });
  } finally {
    await sql.end({ timeout: 1 });
  }
  // sendmail says nothing: cron would mail it.
  if (byFlags) context.print(id);
  return SYSEXITS.ok;
}

/** A mail of a few words. */
async function fromFlags(context: CommandContext, given: Given): Promise<MessageInput> {
  const { words, options } = given;
  const qualify = qualifier(given);
  const to = ((options.to ?? []) as readonly string[]).map((text) => mailboxOf("--to", text, qualify));
  if (words.length > 0) throw new UsageError(`Unexpected argument '${words[0]}': recipients are given with --to here`);
  if (to.length === 0) throw new UsageError("--to is missing: say who gets it");
  if (options["read-recipients"] === true) {
    throw new UsageError("-t is for a finished mail: leave out --to, --subject and --text");
  }
  const text = options.text as string | undefined ?? decode(await readAll(context, { endsAtDot: false }));
  return { ...senderOf(context, given, []), to, subject: (options.subject ?? "") as string, text };
}

/** A finished mail from stdin. */
async function fromMail(context: CommandContext, given: Given): Promise<MessageInput> {
  const { words, options } = given;
  const mode = options.mode as string | undefined;
  if (mode !== undefined && mode !== "m") {
    throw new UsageError(`-b${mode} is not known here: only -bm, which sends a mail`);
  }
  const flags = (options.option ?? []) as readonly string[];
  const qualify = qualifier(given);
  const asked = words.flatMap((word) => word.split(",")).filter((word) => word.trim() !== "")
    .map((word) => mailboxOf("the recipient", word.trim(), qualify));
  const readsHeader = options["read-recipients"] === true;
  if (asked.length === 0 && !readsHeader) {
    throw new UsageError("Name the recipients, or add -t to read them from the header, or give --to and --subject");
  }
  const content = await readAll(context, { endsAtDot: options["ignore-dots"] !== true && !flags.includes("i") });
  const mail = await readSubmitted(content, qualify);
  const { subject, text, html, headers, attachments, unsubscribe, replyTo } = mail;
  const body = html === undefined ? { text: text ?? "" } : { text, html };
  return {
    ...senderOf(context, given, mail.from),
    ...(readsHeader ? addedTo(mail, asked) : only(mail, asked)),
    ...{ replyTo, subject, headers, attachments, unsubscribe },
    ...body,
  };
}

type Recipients = Pick<SubmittedMail, "to" | "cc" | "bcc">;

/** Those of the header, and those that the command line adds, as Postfix does. */
function addedTo({ to, cc, bcc }: SubmittedMail, asked: readonly Mailbox[]): Recipients {
  return { to, cc, bcc: [...bcc, ...missing(asked, [...to, ...cc, ...bcc])] };
}

/** Those of the command line alone. Whom a header names gets a mail of the queue: nobody may be named who shall not. */
function only({ to, cc }: SubmittedMail, asked: readonly Mailbox[]): Recipients {
  const [other] = missing([...to, ...cc], asked);
  if (other !== undefined) {
    throw new UnreadableMail(
      `its header names ${other.email}, who is none of the recipients; name them too, or add -t, or take them out of To and Cc`,
    );
  }
  return { to, cc, bcc: missing(asked, [...to, ...cc]) };
}

function missing(these: readonly Mailbox[], among: readonly Mailbox[]): readonly Mailbox[] {
  const known = new Set(among.map(({ email }) => normalizeAddress(email)));
  return these.filter(({ email }) => !known.has(normalizeAddress(email)));
}

/** Who it is from: its own From, else -f, else who runs the program. -f is also where bounces go. */
function senderOf(
  { env }: CommandContext,
  given: Given,
  [own]: readonly Mailbox[],
): { readonly from: Mailbox; readonly returnPath?: string } {
  const { options } = given;
  const qualify = qualifier(given);
  const flag = (options.from ?? options.sender) as string | undefined;
  const isNull = flag === "" || flag === "<>";
  const sender = flag === undefined || isNull ? undefined : mailboxOf("-f", flag, qualify);
  const user = env.LOGNAME ?? env.USER;
  const from = own ?? sender ?? (user === undefined ? undefined : mailboxOf("the user", user, qualify));
  if (from === undefined) throw new UsageError("The mail has no From: add one, or -f ADDRESS");
  const named = options.name === undefined || from.name !== undefined
    ? from
    : { ...from, name: options.name as string };
  return { from: named, ...(isNull ? { returnPath: "" } : sender === undefined ? {} : { returnPath: sender.email }) };
}

/** A bare name is a mailbox of `--domain`, else of this machine. */
function qualifier({ options, machine }: Given): (name: string) => string {
  const domain = (options.domain ?? machine.hostname) as string;
  return (name) => name.includes("@") ? name : `${name}@${domain}`;
}

function mailboxOf(what: string, text: string, qualify: (name: string) => string): Mailbox {
  const parsed = parseAddress(/[@<]/.test(text) ? text : qualify(text));
  if (parsed.ok) return parsed.mailbox;
  throw new UsageError(`${what} ${text} is no mail address: ${parsed.reason}`);
}

/** @param options `endsAtDot`: a line with a dot alone is the end, as in SMTP */
async function readAll(context: CommandContext, options: { readonly endsAtDot: boolean }): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of context.open("-")) {
    bytes += piece.byteLength;
    if (bytes > MOST_BYTES) throw new UnreadableMail(`it has more than ${MOST_BYTES.toLocaleString("en")} bytes`);
    pieces.push(piece);
  }
  const all = Buffer.concat(pieces);
  if (!options.endsAtDot) return all;
  const dot = /(^|\n)\.\r?(\n|$)/.exec(all.toString("latin1"));
  return dot === null ? all : all.subarray(0, dot.index + (dot[1] ?? "").length);
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new UnreadableMail("its text is not in UTF-8");
  }
}

/** What a calling program should do; undefined: a fault of our own, or of the command line. */
function exitOf(error: unknown): number | undefined {
  if (error instanceof UnreadableMail) return SYSEXITS.data;
  if (error instanceof SettingsError) return SYSEXITS.config;
  if (error instanceof DatabaseProblem || error instanceof MissingReader) return SYSEXITS.tryAgain;
  return error instanceof MailchuteError ? EXITS[error.code] ?? SYSEXITS.tryAgain : undefined;
}

/** All others may go away by themselves, or by an administrator: the mail is worth keeping. */
const EXITS: Readonly<Partial<Record<MailchuteErrorCode, number>>> = {
  validation_error: SYSEXITS.data,
  too_large: SYSEXITS.data,
  sender_not_allowed: SYSEXITS.noPermission,
  recipient_not_allowed: SYSEXITS.noPermission,
  permission_denied: SYSEXITS.noPermission,
};
