import { MailchuteError } from "../../mod.ts";
import type { Mail } from "../../src/mime/compose.ts";
import { knownOfPostalMime } from "../mime/known_differences.ts";
import { meaning as readingOf, type Reading, readWithPostalMime } from "../mime/readers.ts";
import type { AcceptedMail } from "../scripted_server.ts";
import type { Call } from "./call.ts";
import type { Meaning } from "./meaning.ts";
import { wireFaults } from "./wire.ts";

/** What only the database knows: whether a month has such a day, and what time it is. */
const FOR_THE_DATABASE = /^(?:scheduledAt|expiresAt)$/;

/** A row of a message, as the test asks for it. */
export interface StoredMessage extends Omit<Meaning["row"], "tags" | "metadata"> {
  readonly id: string;
  readonly states: readonly string[];
  readonly reasons: readonly string[];
  readonly tags: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly dateMs: number;
}

/** What is wrong with how the client refused something. */
export function refusalFaults(call: Call, error: unknown): readonly string[] {
  if (!(error instanceof MailchuteError)) {
    return [`it crashed: ${error instanceof Error ? error.stack : String(error)}`];
  }
  const { code, issues, cause, message } = error;
  const faults: string[] = [];
  if (call.isValid) faults.push("it is refused, though every field is as the docs have it");
  if (code !== "validation_error" && code !== "too_large") faults.push(`the code is ${code}`);
  if (issues.length === 0) faults.push("no issue says where");
  const lost = issues.filter(({ path }) => !call.leadsIn(path));
  if (lost.length > 0) {
    faults.push(`no place in the input is called ${lost.map(({ path }) => JSON.stringify(path)).join()}`);
  }
  const isLate = /^MC/.test(Object(cause).code) && issues.some(({ path }) => !FOR_THE_DATABASE.test(path));
  if (isLate) faults.push("the client let through what the database refused");
  if (/[\p{Cc}\u2028\u2029]/u.test([message, ...issues.map(({ path }) => path)].join())) {
    faults.push("it breaks a line of a log");
  }
  return faults.map((fault) => `${fault}: ${message}${cause instanceof Error ? ` (${cause.message})` : ""}`);
}

/** What is wrong with what became of an accepted mail. */
export async function deliveryFaults(
  meaning: Meaning,
  stored: StoredMessage | undefined,
  delivered: readonly AcceptedMail[],
): Promise<readonly string[]> {
  if (stored === undefined) return ["it is not in the database"];
  const faults: string[] = [];
  const { id, states, reasons, dateMs, ...row } = stored;
  if (states.some((state) => state !== "sent")) faults.push(`it ended as ${states.join()}: ${reasons.join("; ")}`);
  if (!Bun.deepEquals(row, meaning.row)) faults.push(`the database keeps ${show(row)} instead of ${show(meaning.row)}`);
  const [first] = delivered;
  if (first === undefined) return [...faults, "it did not arrive"];

  if (delivered.some(({ content }) => content !== first.content)) faults.push("its copies differ");
  const got = delivered.flatMap(({ recipients }) => recipients).toSorted();
  // Who is named twice gets one copy.
  const byAddress = new Map(
    meaning.recipients.map(octets).toReversed().map((email) => [withLowerDomain(email), email]),
  );
  const wanted = [...byAddress.values()].toSorted();
  if (!Bun.deepEquals(got, wanted)) faults.push(`it went to ${show(got)} instead of ${show(wanted)}`);
  if (first.reversePath !== octets(meaning.returnPath)) {
    faults.push(`its return path is ${show(first.reversePath)} instead of ${show(meaning.returnPath)}`);
  }
  faults.push(...wireFaults(first.content, meaning));
  const { mail } = meaning;
  // The readers know the first header as the note.
  const whole: Mail = { ...mail, id, date: new Date(dateMs), headers: [["X-Note", ""], ...mail.headers] };
  const meant = comparable(readingOf(whole));
  const read = comparable(await readWithPostalMime(Buffer.from(first.content, "latin1")));
  for (const [field, value] of Object.entries(meant)) {
    const other = read[field as keyof Reading];
    if (!Bun.deepEquals(other, value)) faults.push(`${field} reads ${show(other)} instead of ${show(value)}`);
  }
  return faults;
}

/** Without what the reader is known to see otherwise, and Sender, which is written in another form. */
function comparable(reading: Reading): Reading {
  const known = knownOfPostalMime(reading);
  // It makes a text of a calendar: `wireFaults` looks at its octets.
  const files = known.files.map((file) =>
    /^(?:application\/ics|text\/calendar)$/.test(file[1] ?? "") ? file.slice(0, -1) : file
  );
  return { ...known, headers: known.headers.filter(([name]) => name !== "sender"), files };
}

/** UTF-8 as the server's transcript has it: a character for each octet. */
function octets(text: string): string {
  return Buffer.from(text).toString("latin1");
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 600 ? `${text.slice(0, 600)}…` : text;
}

/** How a relay tells that two addresses are one: the case of the domain says nothing. */
function withLowerDomain(email: string): string {
  const at = email.lastIndexOf("@");
  return email.slice(0, at) + email.slice(at).toLowerCase();
}
