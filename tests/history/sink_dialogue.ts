import type { Socket } from "node:net";
import { systemClock } from "../../relay/time/clock.ts";
import type { MailFault } from "./mail_fault.ts";
import type { Copy } from "./sink.ts";

/** The sink's side of what a connection does. */
export interface SinkEvents {
  /**
   * A mail begins.
   * @returns how often this one has, what goes wrong with it, and how long an answer to its final dot takes
   */
  begin(token: string): Pick<Transaction, "time" | "fault" | "lagMs">;
  /** Its final dot was read. @returns what notes the answer */
  received(
    mail: Pick<Copy, "token" | "time" | "messageId" | "content" | "recipients">,
  ): (code: number) => void;
}

/** A mail under way. */
interface Transaction {
  readonly token: string;
  readonly time: number;
  readonly fault: MailFault | undefined;
  readonly lagMs: number;
  readonly recipients: string[];
  /** How many have been named. */
  named: number;
}

const END = "\r\n.\r\n";

/**
 * One connection to the sink: commands in, replies out, and the fault of each mail at its place. The token of a mail is
 * its reverse-path's local part.
 */
export class SinkDialogue {
  readonly #socket: Socket;
  readonly #events: SinkEvents;
  #text = "";
  #inData = false;
  /** An answer waits for its time, or the connection is over: what comes is not read. */
  #holds = false;
  #mail: Transaction | undefined;

  constructor(socket: Socket, events: SinkEvents) {
    this.#socket = socket;
    this.#events = events;
    socket.write("220 sink.test ESMTP\r\n");
  }

  /** Takes in what has arrived, cut wherever it may be. */
  read(arrived: string): void {
    this.#text += arrived;
    while (!this.#holds && (this.#inData ? this.#content() : this.#command())) { /* until more is needed */ }
  }

  #command(): boolean {
    const end = this.#text.indexOf("\r\n");
    if (end < 0) return false;
    const line = this.#text.slice(0, end);
    const verb = line.slice(0, 4).toUpperCase();
    // After DATA the line break stays: a mail may be nothing but its final dot.
    this.#text = this.#text.slice(verb === "DATA" ? end : end + 2);
    if (verb === "EHLO") this.#say("250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES");
    else if (verb === "MAIL") this.#begin(line);
    else if (verb === "RCPT") this.#recipient(line);
    else if (verb === "DATA") this.#data();
    else if (verb === "QUIT") this.#end("drop", "221 2.0.0 bye");
    else {
      if (verb === "RSET") this.#mail = undefined;
      this.#say("250 2.0.0 ok");
    }
    return true;
  }

  #begin(line: string): void {
    const token = /<([^@>]*)@/.exec(line)?.[1] ?? "";
    const mail = { token, ...this.#events.begin(token), recipients: [], named: 0 };
    this.#mail = mail;
    if (this.#goesWrong("mail")) this.#mail = undefined;
    else this.#say("250 2.1.0 ok");
  }

  #recipient(line: string): void {
    if (this.#mail === undefined) return this.#say("503 5.5.1 MAIL first");
    // One of several may go wrong, and it is the first.
    if (this.#mail.named++ === 0 && this.#goesWrong("rcpt")) return;
    this.#mail.recipients.push(/<([^>]*)>/.exec(line)?.[1] ?? "");
    this.#say("250 2.1.5 ok");
  }

  #data(): void {
    if (this.#mail === undefined || this.#mail.recipients.length === 0) return this.#say("503 5.5.1 RCPT first");
    if (this.#goesWrong("data")) {
      this.#mail = undefined;
      return;
    }
    this.#inData = true;
    this.#say("354 go on");
  }

  /** Looks for the end of a mail. @returns whether there may be more to read */
  #content(): boolean {
    if (this.#text.length > 2 && this.#goesWrong("body")) return false;
    const end = this.#text.indexOf(END);
    if (end < 0) return false;
    const content = this.#text.slice(2, end);
    this.#text = this.#text.slice(end + END.length);
    this.#inData = false;
    const { token, time, fault, lagMs, recipients } = this.#mail as Transaction; // content follows a DATA that was accepted, so there is one
    const messageId = /^Message-ID: <(.*)>\r?$/mi.exec(content)?.[1] ?? "";
    const answered = this.#events.received({
      ...{ token, time, messageId, recipients },
      content: Bun.hash(content).toString(36),
    });
    const answer = (reply: string) => {
      this.#mail = undefined;
      answered(Number(reply.slice(0, 3)));
      this.#say(reply);
    };
    const waitsMs = fault?.phase === "dot" && "waitsMs" in fault ? fault.waitsMs : fault === undefined ? lagMs : 0;
    if (waitsMs > 0) {
      this.#holds = true;
      systemClock.after(waitsMs, () => {
        this.#holds = false;
        answer("250 2.0.0 taken");
        this.read("");
      });
    } else if (fault?.phase === "dot" && "says" in fault) {
      answer(fault.says);
      if (fault.says.startsWith("421")) this.#end("drop");
    } else if (fault?.phase === "dot" && fault.ends !== undefined) {
      this.#end(fault.ends);
    } else {
      answer("250 2.0.0 taken");
      if (fault?.phase === "answer" && fault.ends !== undefined) this.#end(fault.ends);
    }
    return true;
  }

  /** Does what is to go wrong at this place; false: nothing. */
  #goesWrong(phase: MailFault["phase"]): boolean {
    const fault = this.#mail?.fault;
    if (fault?.phase !== phase) return false;
    if ("says" in fault) this.#say(fault.says);
    else if (fault.ends !== undefined) this.#end(fault.ends);
    return true;
  }

  #say(reply: string): void {
    if (!this.#socket.destroyed) this.#socket.write(`${reply}\r\n`);
  }

  #end(how: "drop" | "reset", lastWords = ""): void {
    this.#holds = true;
    if (how === "reset") this.#socket.resetAndDestroy();
    else this.#socket.end(lastWords === "" ? "" : `${lastWords}\r\n`, () => this.#socket.destroy());
  }
}
