import { type Mailbox, normalizeAddress } from "../address.ts";
import type { AddFault, ComposedMail, Data } from "./composed_mail.ts";

/** Who a mail is from and who gets it. */
export interface Addresses {
  readonly from: Mailbox | undefined;
  readonly sender: Mailbox | undefined;
  readonly replyTo: readonly Mailbox[];
  readonly to: readonly Mailbox[];
  readonly cc: readonly Mailbox[];
  readonly bcc: readonly Mailbox[];
  readonly returnPath: string | undefined;
}

/** One address as nodemailer's own parser gives it. */
interface Parsed {
  readonly name?: string;
  readonly address?: string;
  readonly group?: unknown;
}

/**
 * Reads the addresses. nodemailer has parsed them, so that each means here what it means to its SMTP transport; but
 * what it leaves out without a word (`to: "nobody"`), and groups, are faults.
 *
 * @param data with its addresses parsed
 * @param envelope the app's own: once nodemailer has parsed, `data` has one in any case
 */
export function addressesOf(
  mail: ComposedMail,
  { data, envelope, add }: { readonly data: Data; readonly envelope: unknown; readonly add: AddFault },
): Addresses {
  const list = (path: string): readonly Mailbox[] => {
    const given = data[path];
    const parsed = asList(given) as readonly Parsed[];
    return parsed.flatMap((entry, index) => mailbox(entry, Array.isArray(given) ? `${path}.${index}` : path, add));
  };
  // Of these nodemailer keeps the first.
  const one = (path: string): Mailbox | undefined => {
    const all = (mail.message.getAddresses() as Readonly<Record<string, unknown>>)[path];
    if (asList(all).length > 1) add(path, "it is more than one address");
    return list(path)[0];
  };
  const seen = new Set<string>();
  const to = unseen(list("to"), seen);
  const cc = unseen(list("cc"), seen);
  const bcc = unseen(list("bcc"), seen);
  return {
    ...{ from: one("from"), sender: one("sender"), replyTo: list("replyTo"), to, cc },
    ...envelopeOf(mail, envelope, { shown: [...to, ...cc], bcc, add }),
  };
}

/**
 * Leaves out whom an earlier field names: nodemailer's envelope has everybody once, and the queue a recipient for each
 * address that it is given.
 */
function unseen(list: readonly Mailbox[], seen: Set<string>): readonly Mailbox[] {
  return list.filter(({ email }) => {
    const address = normalizeAddress(email);
    return !seen.has(address) && seen.add(address);
  });
}

/**
 * Reads an envelope of the app's own. Who is in it and in no header is a bcc; who is in a header and not in it cannot
 * be left out, since whom a mail of the queue names gets it.
 */
function envelopeOf(
  mail: ComposedMail,
  envelope: unknown,
  { shown, bcc, add }: { readonly shown: readonly Mailbox[]; readonly bcc: readonly Mailbox[]; readonly add: AddFault },
): Pick<Addresses, "bcc" | "returnPath"> {
  if (!envelope) return { bcc, returnPath: undefined };
  const given = envelope as Data;
  const { from, to } = mail.message.getEnvelope();
  for (const name of ["to", "cc", "bcc"]) {
    if (!asList(given[name]).every(namesAddress)) add(`envelope.${name}`, "it holds what is no mail address");
  }
  if (to.length === 0) add("envelope.to", "it is missing, and to, cc and bcc do not stand in for it");
  if (given.dsn) add("envelope.dsn", "the relay asks for delivery reports by itself: leave it out");
  const wanted = new Set(to.map(normalizeAddress));
  const named = new Set(shown.map(({ email }) => normalizeAddress(email)));
  if ([...named].some((address) => !wanted.has(address))) {
    add(
      "envelope.to",
      "it leaves out an address of to or cc, and all whom these name get the mail: put it in, or give others as to and cc",
    );
  }
  return {
    bcc: to.filter((address) => !named.has(normalizeAddress(address))).map((email) => ({ email })),
    // false and "" are nodemailer's null reverse-path; an envelope that does not say leaves it to the relay.
    returnPath: given.from === undefined ? undefined : String(from || ""),
  };
}

function mailbox({ name, address, group }: Parsed, path: string, add: AddFault): readonly Mailbox[] {
  if (address) return [name ? { email: address, name } : { email: address }];
  add(
    path,
    group === undefined
      ? "it is not a mail address"
      : "it is a group: give its addresses, and bcc for those who are not to be seen",
  );
  return [];
}

/** A bare word would be taken for a local mailbox by some servers, and left out by nodemailer. */
function namesAddress(entry: unknown): boolean {
  if (Array.isArray(entry)) return entry.every(namesAddress);
  const text = typeof entry === "string" ? entry : Object(entry).address;
  return typeof text === "string" && text.includes("@");
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : value ? [value] : [];
}
