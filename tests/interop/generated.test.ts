import { afterAll, beforeAll, expect } from "bun:test";
import { MailchuteError } from "../../src/error.ts";
import { compose, type Mail } from "../../src/mime/compose.ts";
import { testWith } from "../debian.ts";
import { ATTACKS } from "../mime/attacks.ts";
import { knownOfPostalMime, knownOfPython } from "../mime/known_differences.ts";
import { MAIL } from "../mime/mail.ts";
import { meaning, type Reading, readWithPostalMime, readWithPython } from "../mime/readers.ts";
import { VICTIM, wildCorpus } from "../mime/wild_corpus.ts";
import { outcomesOf } from "../smtp/setup.ts";
import { thoroughly } from "../thoroughly.ts";
import type { MailServer } from "./mail_server.ts";
import { POSTFIX, startPostfix } from "./postfix.ts";
import { addressOf, headersOf, openWay } from "./setup.ts";

// What an app may say, at its oddest, through a real server: each mail is there once, nobody else got one, and two
// readers that others wrote find in it what was meant.

const NEEDED = {
  program: Bun.which("python3") === null ? undefined : POSTFIX,
  package: "postfix, sasl2-bin and python3, and root",
};

let server: MailServer;
beforeAll(async () => {
  if (NEEDED.program !== undefined) server = await startPostfix();
}, 60_000);
afterAll(async () => await server?.[Symbol.asyncDispose]());

const NASTY = thoroughly ? 5_000 : 500;

testWith(NEEDED, `${NASTY} nasty mails come out of Postfix as they went in, each once and to nobody else`, async () => {
  const mails = wildCorpus(NASTY, 20_261_122);
  await using way = openWay(server, "plain", { connections: 4, onDialogue: undefined });
  const wires = new Map(mails.map((mail) => [`<${mail.id}@`, compose(mail)]));
  const sent = mails.map((mail) => way.send(wires.get(`<${mail.id}@`) as Uint8Array, addressOf("corpus")));
  for (const delivery of await Promise.all(sent)) expect(outcomesOf(delivery)).toEqual(["sent final 250"]);

  const delivered = new Map((await server.mails("corpus", mails.length)).map((mail) => [idOf(mail), mail]));
  expect(delivered.size).toBe(mails.length);
  // A mail behind the others, on the way that smuggled ones would have taken: it is the only one there.
  await way.send(compose(mails[0] as Mail), VICTIM);
  expect(await server.mails("evil", 1)).toHaveLength(1);
  expect(await server.mails("corpus", 1)).toHaveLength(mails.length);

  for (const mail of mails) {
    const arrived = delivered.get(`<${mail.id}@`) as Uint8Array;
    const [own, ofPostfix] = splitTrace(arrived);
    expect(own === textOf(wires.get(`<${mail.id}@`) as Uint8Array)).toBe(true);
    expect(ofPostfix).toEqual(["Return-Path", "X-Original-To", "Delivered-To", "Received"]);
    const isOneText = /^Content-Type: text\//m.test(own.split("\n\n", 1)[0] ?? "");
    expect(namesOf(own)).toEqual([...expectedNames(mail), ...(isOneText ? ["Content-Transfer-Encoding"] : [])]);
  }

  const inOrder = mails.map((mail) => delivered.get(`<${mail.id}@`) as Uint8Array);
  const meant = mails.map(meaning);
  const [byPostalMime, byPython] = await Promise.all([
    Promise.all(inOrder.map(readWithPostalMime)),
    readWithPython(inOrder, 2),
  ]);
  meant.forEach((mail, index) => {
    expectSame(byPostalMime[index] as Reading, mail, knownOfPostalMime);
    expectSame(byPython?.[index] as Reading, mail, knownOfPython);
  });
}, 180_000);

testWith(
  NEEDED,
  "of the attacks that others fell for, none reaches Postfix as more than one mail to one recipient",
  async () => {
    const outcomes: string[] = [];
    const arrived: Mail[] = [];
    await using way = openWay(server, "plain");
    for (const [index, attack] of ATTACKS.entries()) {
      const mail = { ...MAIL, headers: [["X-Note", String(index)] as const], ...attack.mail };
      const { recipient = addressOf("attacks"), id = MAIL.id, reversePath = "app@shop.example" } = attack.envelope ??
        {};
      const becomes = await attempt(async () => {
        const envelope = { id, reversePath, recipients: [{ position: 0, email: recipient }] };
        return outcomesOf(await way.transport.send(envelope, compose(mail), new AbortController().signal)).join();
      });
      outcomes.push(`${attack.name}: ${becomes}`);
      if (becomes === "harmless") arrived.push(mail);
    }
    expect(outcomes).toEqual(ATTACKS.map(({ name, becomes }) => `${name}: ${becomes}`));

    const mails = await server.mails("attacks", arrived.length);
    const readings = await Promise.all(mails.map(readWithPostalMime));
    const byNote = (list: readonly Reading[]) =>
      list.map(knownOfPostalMime).toSorted((a, b) => Number(a.note) - Number(b.note));
    expect(byNote(readings)).toEqual(byNote(arrived.map(meaning)));
    const recipients = way.dialogue.flatMap((line) => /^C: RCPT TO:(\S+)/.exec(line)?.[1] ?? []);
    expect(new Set(recipients)).toEqual(new Set([`<${addressOf("attacks")}>`]));
    const smuggled = (await server.mails("evil", 0)).flatMap(headersOf).filter((line) => line === "Subject: smuggled");
    expect(smuggled).toEqual([]);
  },
  60_000,
);

/** Refused by compose, by the transport before a command, or by Postfix at MAIL; or sent. */
async function attempt(send: () => Promise<string>): Promise<string> {
  try {
    const outcome = await send();
    return outcome.startsWith("bounced mail ") ? "refused" : outcome === "sent final 250" ? "harmless" : outcome;
  } catch (error) {
    return error instanceof MailchuteError && error.code === "validation_error" ? "refused" : String(error);
  }
}

/** Compares cheaply first: showing what differs takes a while, and looking for it among thousands too. */
function expectSame(found: Reading, meant: Reading, known: (reading: Reading) => Reading): void {
  const [left, right] = [known(found), known(meant)];
  if (!Bun.deepEquals(left, right)) expect(left).toEqual(right);
}

/** The beginning of its Message-ID: its id. */
function idOf(mail: Uint8Array): string {
  return /^message-id: (<[^@]*@)/im.exec(headersOf(mail).join("\n"))?.[1] ?? "";
}

/** What we wrote, and the names of the headers that Postfix put above it. */
function splitTrace(mail: Uint8Array): readonly [own: string, names: readonly string[]] {
  const text = textOf(mail);
  const at = text.search(/^Date: /m);
  return [text.slice(at), namesOf(text.slice(0, at))];
}

function textOf(mail: Uint8Array): string {
  return new TextDecoder("latin1").decode(mail).replaceAll("\r\n", "\n");
}

function namesOf(text: string): readonly string[] {
  const [head = ""] = text.split("\n\n", 1);
  return head.split("\n").filter((line) => line !== "" && !/^[ \t]/.test(line)).map((line) =>
    line.split(":", 1)[0] ?? ""
  );
}

function expectedNames({ replyTo, cc, headers, unsubscribe }: Mail): readonly string[] {
  return [
    ...["Date", "From", ...(replyTo.length > 0 ? ["Reply-To"] : []), "To", ...(cc.length > 0 ? ["Cc"] : [])],
    ...["Subject", "Message-ID", ...headers.map(([name]) => name)],
    ...(unsubscribe === undefined ? [] : ["List-Unsubscribe"]),
    ...(unsubscribe?.startsWith("https:") ? ["List-Unsubscribe-Post"] : []),
    ...["MIME-Version", "Content-Type"],
  ];
}
