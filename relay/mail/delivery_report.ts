/**
 * DESIGN: what a server has to say of a mail that it had taken, or the program that shows it to its reader, read from
 * the parts of a report that machines write for machines: RFC 3464 (delivery status), RFC 5965 (complaints) and RFC
 * 8098 (read receipts). Text that is meant for people is not guessed at, since each server says it in another way, and
 * in other languages; but OpenSMTPD writes the reply nowhere else: on a line that begins with the address.
 */

/** What a report says of one recipient. */
export interface Report {
  readonly kind: "delivered" | "delayed" | "bounced" | "complained" | "opened";
  /** By what addresses it names the recipient; none: it does not. */
  readonly addresses: readonly string[];
  /** The reply that it tells of, 200 to 599. */
  readonly code: number | undefined;
  /** The RFC 3463 code. */
  readonly enhanced: string | undefined;
  /** What the server said, or what the report says instead. */
  readonly reply: string;
  /** The server that has refused it, or that reports. */
  readonly reporter: string | undefined;
}

/** A report, and by what it names the mail that it is about. */
export interface DeliveryReport {
  /**
   * UUIDs: the envelope id that the mail was sent with, and its Message-ID, as the report names it or as it came back
   * with it.
   */
  readonly ids: readonly string[];
  readonly reports: readonly Report[];
}

/** The parts of a multipart/report. */
export interface ReportParts {
  /** message/delivery-status */
  readonly status?: string | undefined;
  /** message/feedback-report */
  readonly feedback?: string | undefined;
  /** message/disposition-notification */
  readonly disposition?: string | undefined;
  /** What is meant for people. */
  readonly notice?: string | undefined;
  /** The header of the mail that came back, or the whole mail. */
  readonly returned?: string | undefined;
}

/** As many as a mail can have. */
const MOST_RECIPIENTS = 500;
const MOST_CHARACTERS = 1_000;
const UUID = /[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}/;

/**
 * Reads a report. What relays a mail to where no reports are made, or expands a list, says nothing; nor does a
 * complaint that is withdrawn, or who has thrown a mail away unread.
 *
 * @example
 * ```ts
 * const status = "Reporting-MTA: dns; mail.corp.example\n\nFinal-Recipient: rfc822; ann@example.com\nAction: failed\nStatus: 5.1.1\n";
 * const [report] = readReport({ status }).reports;
 * if (report?.kind !== "bounced" || report.addresses[0] !== "ann@example.com") throw new Error("unexpected");
 * ```
 */
export function readReport(
  { status = "", feedback = "", disposition = "", notice = "", returned = "" }: ReportParts,
): DeliveryReport {
  const blocks = [...blocksOf(status)];
  const reporting = blocks.map((block) => valueOf(block, "reporting-mta")).find((name) => name !== undefined);
  const [header = new Map()] = blocksOf(returned);
  const [receipt = new Map()] = blocksOf(disposition);
  const envelope = blocks.map((block) => block.get("original-envelope-id")?.[0]);
  const message = [receipt.get("original-message-id")?.[0], header.get("message-id")?.[0]];
  const named = [...envelope, ...message].flatMap((text) =>
    text === undefined ? [] : UUID.exec(decoded(text).toLowerCase()) ?? []
  );
  return {
    ids: [...new Set(named)],
    reports: [
      ...blocks.flatMap((block) => statusOf(block, { reporting, notice })),
      ...[...blocksOf(feedback)].flatMap(complaintOf),
      ...readingOf(receipt),
    ].slice(0, MOST_RECIPIENTS),
  };
}

/** Field names in lower case, and what stands in the fields of that name. */
type Block = ReadonlyMap<string, readonly string[]>;

/** Blocks of fields, with empty lines between them. */
function blocksOf(text: string): readonly Block[] {
  const unfolded = text.replaceAll(/\r\n?/g, "\n").trimStart().replaceAll(/\n[ \t]+(?=\S)/g, " ");
  return unfolded.split(/\n[ \t]*\n/).map((lines) => {
    const block = new Map<string, string[]>();
    for (const line of lines.split("\n")) {
      const [, name, value] = /^([!-9;-~]+)[ \t]*:(.*)$/.exec(line) ?? [];
      if (name === undefined || value === undefined) continue;
      const key = name.toLowerCase();
      const values = block.get(key);
      if (values === undefined) block.set(key, [oneLine(value)]);
      else values.push(oneLine(value));
    }
    return block;
  });
}

/** RFC 3464 section 2.3: the fields of one recipient. */
function statusOf(
  block: Block,
  { reporting, notice }: { readonly reporting: string | undefined; readonly notice: string },
): readonly Report[] {
  const addresses = recipientOf(block);
  if (addresses.length === 0) return [];
  const status = /[245]\.\d{1,3}\.\d{1,3}/.exec(block.get("status")?.[0] ?? "")?.[0];
  const kind = kindOf(block.get("action")?.[0], status);
  if (kind === undefined) return [];
  const [, type, said] = /^\s*([\w-]+)\s*(?:\([^()]*\)\s*)?;(.*)$/s.exec(block.get("diagnostic-code")?.[0] ?? "") ??
    ["", "smtp", replyIn(notice, addresses)];
  const reply = said?.trim() || block.get("status")?.[0] || `Action: ${kind}`;
  // Only of SMTP are three digits a reply code.
  const [, code, enhanced] = type?.toLowerCase() === "smtp"
    ? /^\s*([245]\d\d)(?:[ -]+(?:#)?([245]\.\d{1,3}\.\d{1,3}))?/.exec(reply) ?? []
    : [];
  // `x.0.0` says nothing that the code does not.
  const exact = enhanced ?? (status?.endsWith(".0.0") ? undefined : status);
  const reporter = valueOf(block, "remote-mta") ?? reporting;
  return [{ kind, addresses, code: code === undefined ? undefined : Number(code), enhanced: exact, reply, reporter }];
}

/** Such as `ann@example.com: 550 5.1.1 no such user`. */
function replyIn(notice: string, addresses: readonly string[]): string | undefined {
  for (const line of notice.split("\n")) {
    const address = addresses.find((each) => line.startsWith(`${each}: `));
    const reply = address === undefined ? "" : oneLine(line.slice(address.length + 2));
    if (/^[245]\d\d[ -]/.test(reply)) return reply;
  }
  return undefined;
}

/** RFC 3464 section 2.3.3; some servers leave it out, and the class of the status tells. */
function kindOf(action: string | undefined, status: string | undefined): Report["kind"] | undefined {
  switch (action === undefined ? undefined : withoutComments(action).toLowerCase()) {
    case "failed":
      return "bounced";
    case "delayed":
      return "delayed";
    case "delivered":
      return "delivered";
    case undefined:
      return ({ "5": "bounced", "4": "delayed", "2": "delivered" } as const)[status?.[0] as "5" | "4" | "2"];
    default:
      return undefined;
  }
}

/** Of the types of RFC 5965 section 7.3, those by which a person has said that the mail was not wanted. */
const COMPLAINTS: ReadonlySet<string> = new Set(["abuse", "fraud", "opt-out"]);

function complaintOf(block: Block): readonly Report[] {
  const type = block.get("feedback-type")?.[0]?.toLowerCase() ?? "";
  if (!COMPLAINTS.has(type)) return [];
  const common = { kind: "complained", code: undefined, enhanced: undefined } as const;
  const reporter = valueOf(block, "reporting-mta") ?? block.get("user-agent")?.[0];
  const recipients = block.get("original-rcpt-to") ?? [];
  const named = recipients.length === 0 ? [[]] : recipients.map((text) => [bare(text)]);
  return named.map((addresses) => ({ ...common, addresses, reply: `Feedback-Type: ${type}`, reporter }));
}

/** RFC 8098 section 3.2: that the mail was shown to its reader. Any other disposition says nothing of that. */
function readingOf(receipt: Block): readonly Report[] {
  const [disposition = ""] = receipt.get("disposition") ?? [];
  if (!/;\s*displayed\b/i.test(disposition)) return [];
  const addresses = recipientOf(receipt);
  const reporter = receipt.get("reporting-ua")?.[0] || undefined;
  const reply = `Disposition: ${disposition}`;
  return [{ kind: "opened", addresses, code: undefined, enhanced: undefined, reply, reporter }];
}

/** By what addresses a recipient is named: as the sender wrote it, then as the last server did. */
function recipientOf(block: Block): readonly string[] {
  return [...addressesOf(block, "original-recipient"), ...addressesOf(block, "final-recipient")];
}

/**
 * An address as it stands, and as it was before it was encoded (RFC 3461 section 4): servers write the one or the
 * other.
 */
function addressesOf(block: Block, name: string): readonly string[] {
  const text = valueOf(block, name);
  return text === undefined ? [] : [...new Set([bare(text), bare(decoded(text))])];
}

/** What stands behind the type: `dns; mail.example.com`. */
function valueOf(block: Block, name: string): string | undefined {
  return block.get(name)?.[0]?.replace(/^[^;]*;/, "").trim() || undefined;
}

function bare(text: string): string {
  return withoutComments(text).replace(/^<(.*)>$/, "$1");
}

/** RFC 3464 section 2.1.1: a field that machines read may have comments. In quotes a parenthesis is none. */
function withoutComments(text: string): string {
  let depth = 0;
  let out = "";
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|\\.|[\s\S]/g)) {
    if (token === "(") depth++;
    else if (token === ")" && depth > 0) depth--;
    else if (depth === 0) out += token;
  }
  // One that never ends is none.
  return (depth === 0 ? out : text).trim();
}

/** Takes xtext apart, and what RFC 6533 writes for it. */
function decoded(text: string): string {
  return text.replaceAll(/\+([\dA-F]{2})|\\x\{([\dA-Fa-f]{1,6})\}/g, (whole, octet, point) => {
    const code = Number.parseInt(octet ?? point, 16);
    return code < 0x20 || code > 0x10ffff ? whole : String.fromCodePoint(code);
  }).toWellFormed();
}

function oneLine(text: string): string {
  // A cut may part a pair of surrogates, and JSON with half of one is none to Postgres.
  return text.replaceAll(/[\0-\x1f\x7f]+/g, " ").trim().slice(0, MOST_CHARACTERS).toWellFormed();
}
