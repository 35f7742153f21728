import type { ModelNetwork } from "./model_network.ts";

/** The server's end of a connection. */
export interface ServerEnd {
  say(text: string): void;
  close(): void;
}

/**
 * A server that keeps to the letter of RFC 5321, 2920 and 3030, and does at any command what servers do in bad times.
 * What a client must not do is a violation: a command inside of a mail, a content that is taken for commands, an
 * envelope with the content of another mail.
 */
export class ModelServer {
  readonly #network: ModelNetwork;
  readonly #end: ServerEnd;
  #in = "";
  /** Of a chunk under way: its octets that are still to come, and whether it is the last. */
  #chunk: { readonly bytes: number; readonly isLast: boolean } | undefined;
  #isData = false;
  #isRefused = false;
  #isSilent = false;
  #isOver = false;
  #sender: string | undefined;
  #recipients: string[] = [];
  #content = "";
  /** The client has closed the connection, and the server need not know it yet. */
  isLeft = false;

  constructor(network: ModelNetwork, end: ServerEnd) {
    this.#network = network;
    this.#end = end;
  }

  /** Whom the mail under way is for; one that was refused is over, even before RSET. */
  get recipients(): readonly string[] {
    return this.#isRefused ? [] : this.#recipients;
  }

  connected(): void {
    const { servers, settings } = this.#network;
    if (servers.size >= settings.most) return this.#hangUp("421 4.7.0 too many connections");
    servers.add(this);
    this.#answer("220 model", ["554 no"]);
  }

  receive(text: string): void {
    if (this.#isOver) return;
    this.#in += text;
    this.#work();
  }

  clientGone(): void {
    this.#isOver = true;
    this.#network.servers.delete(this);
  }

  /** Ends the connection without being asked. */
  hangUp(isPolite: boolean): void {
    if (!this.#isOver) this.#hangUp(isPolite && !this.#isSilent ? "421 4.4.2 idle for too long" : undefined);
  }

  #work(): void {
    while (!this.#isOver && !this.#isSilent && this.#takeNext()) {
      // Until more has to come.
    }
  }

  #takeNext(): boolean {
    if (this.#chunk !== undefined) return this.#takeChunk(this.#chunk);
    const mark = this.#isData ? this.#in.indexOf("\r\n.\r\n") : this.#in.indexOf("\r\n");
    if (this.#isData && this.#in.startsWith(".\r\n")) {
      this.#in = this.#in.slice(3);
      this.#endData();
      return true;
    }
    if (mark === -1) return false;
    const taken = this.#in.slice(0, mark + 2);
    this.#in = this.#in.slice(mark + (this.#isData ? 5 : 2));
    if (!this.#isData) this.#obey(taken.slice(0, -2));
    else {
      this.#content = taken;
      this.#endData();
    }
    return true;
  }

  #takeChunk({ bytes, isLast }: { readonly bytes: number; readonly isLast: boolean }): boolean {
    if (this.#in.length < bytes) return false;
    this.#content += this.#in.slice(0, bytes);
    this.#in = this.#in.slice(bytes);
    this.#chunk = undefined;
    if (this.#recipients.length === 0) this.#say("503 5.5.1 no mail");
    else if (isLast) this.#endContent();
    else if (!this.#answer("250 2.0.0 octets", ["552 5.3.4 too large", "451 4.3.0 later"])) this.#forget();
    return true;
  }

  #obey(line: string): void {
    const [verb = ""] = line.split(/[ :]/, 1);
    const argument = /<([^>]*)>/.exec(line)?.[1] ?? line.slice(verb.length + 1);
    switch (verb) {
      case "EHLO": {
        const lines = ["model", ...this.#network.settings.offer];
        this.#answer(lines.map((text, at) => `250${at === lines.length - 1 ? " " : "-"}${text}`).join("\r\n"), [
          "451 no",
        ]);
        return;
      }
      case "MAIL":
        if (this.#sender !== undefined) return this.#wrong("MAIL inside of a mail", "503 5.5.1 one at a time");
        if (this.#answer("250 2.1.0 ok", ["451 4.3.0 later", "550 5.7.1 no", "503 5.5.1 what", "530 5.7.0 who"])) {
          this.#sender = argument;
        }
        return;
      case "RCPT":
        if (this.#sender === undefined) return this.#say("503 5.5.1 MAIL first");
        if (this.#answer("250 2.1.5 ok", ["450 4.2.1 later", "550 5.1.1 who", "452 too many", "452 too many"])) {
          this.#recipients.push(argument);
        }
        return;
      case "DATA":
        if (this.#sender === undefined) return this.#say("503 5.5.1 MAIL first");
        if (this.#recipients.length === 0 && !this.#network.chance(0.3)) return this.#say("554 5.5.1 nobody");
        this.#isData = this.#answer("354 go on", ["451 4.3.0 later", "554 5.7.1 no"]);
        this.#isRefused = !this.#isData;
        return;
      case "BDAT": {
        if (this.#network.settings.isChunkingBroken) return this.#say("502 5.5.1 what is BDAT?");
        const [bytes, last] = argument.split(" ");
        this.#chunk = { bytes: Number(bytes), isLast: last !== undefined };
        return;
      }
      case "RSET":
        this.#forget();
        this.#answer("250 2.0.0 ok", ["502 5.5.1 what"]);
        return;
      case "QUIT":
        if (this.#network.fault(3)) return void (this.#isSilent = true);
        return this.#hangUp("221 2.0.0 bye");
      case "Subject":
        // The first line of a content, by a client that believed in our CHUNKING: no more of it may follow.
        if (this.#network.settings.isChunkingBroken && /^Subject: m\d+$/.test(line)) {
          return this.#say("500 5.5.1 what is Subject?");
        }
        return this.#wrong("a header as a command", "500 5.5.1 what");
      default:
        this.#wrong(`a command ${line.slice(0, 20)}`, "500 5.5.1 what");
    }
  }

  #endData(): void {
    this.#isData = false;
    if (this.#recipients.length > 0) return this.#endContent();
    this.#forget();
    this.#say("554 5.5.1 nobody");
  }

  /** The mail is complete: it is taken or not, and the client may hear of it or not. */
  #endContent(): void {
    const id = this.#sender?.split("@")[0] ?? "";
    const mail = { id, recipients: this.#recipients };
    const isItsOwn = this.#content.startsWith(`Subject: ${id}\r\n`) && this.#content.endsWith("end\r\n");
    if (!isItsOwn || mail.recipients.some((email) => !email.startsWith(`${id}.`))) {
      this.#wrong(`a mixed mail ${id}`, "");
    }
    this.#forget();
    if (this.#network.fault(2)) {
      if (this.#network.chance(0.5)) this.#network.taken.push(mail);
      if (this.#network.chance(0.5)) return this.#hangUp(undefined);
      this.#isSilent = true;
      return;
    }
    if (this.#answer("250 2.0.0 taken", ["451 4.3.0 later", "554 5.6.0 spam", "503 5.5.1 what"])) {
      this.#network.taken.push(mail);
    }
  }

  /** Answers as usual or, in bad times, with one of these, with 421, with the end of the connection or not at all. */
  #answer(usual: string, refusals: readonly string[]): boolean {
    if (!this.#network.fault()) {
      this.#say(usual);
      return true;
    }
    if (this.#network.chance(0.6)) this.#say(this.#network.pick(refusals));
    else if (this.#network.chance(0.3)) this.#hangUp("421 4.3.2 closing");
    else if (this.#network.chance(0.5)) this.#hangUp(undefined);
    else this.#isSilent = true;
    return false;
  }

  #say(line: string): void {
    if (line !== "") this.#end.say(`${line}\r\n`);
  }

  #hangUp(last: string | undefined): void {
    if (last !== undefined) this.#say(last);
    this.#end.close();
    this.clientGone();
  }

  #wrong(what: string, reply: string): void {
    this.#network.violations.push(what);
    this.#say(reply);
  }

  #forget(): void {
    this.#sender = undefined;
    this.#isRefused = false;
    this.#recipients = [];
    this.#content = "";
  }
}
