import type { Socket } from "node:net";
import type {
  AcceptedMail,
  Answer,
  ScriptContext,
  ScriptedServerOptions,
  Scripts,
  Transcript,
} from "../scripted_server.ts";
import { Over, ServerInput } from "./server_input.ts";
import { isLogin } from "./server_login.ts";
import { ehloReply } from "./server_offer.ts";
import { ServerOutput } from "./server_output.ts";

interface Setup {
  readonly options: ScriptedServerOptions;
  readonly transcript: Transcript;
  readonly number: number;
  readonly isTls: boolean;
  readonly secure: (socket: Socket) => Socket;
  readonly accept: (mail: AcceptedMail) => void;
  /** Something came from the client. */
  readonly heard: () => void;
}

/** The server's side of one connection: reads what the client says, in order, and answers by script or as usual. */
export class ServerDialogue {
  readonly #setup: Setup;
  readonly #plain: Socket;
  #socket: Socket;
  #isTls: boolean;
  readonly #input: ServerInput;
  readonly #output: ServerOutput;
  #counts = new Map<string, number>();
  #reversePath: string | undefined;
  #parameters = "";
  #recipients: string[] = [];
  /** What came by BDAT so far. */
  #chunks = "";
  #user: string | undefined;

  constructor(plain: Socket, setup: Setup) {
    this.#setup = setup;
    this.#plain = plain;
    this.#socket = setup.isTls ? setup.secure(plain) : plain;
    this.#output = new ServerOutput(this.#socket, setup.options, setup.transcript);
    this.#input = new ServerInput(() => this.#heardAll());
    this.#isTls = setup.isTls;
    this.#listen();
  }

  /** Serves the connection until it ends. */
  run(): void {
    this.#serve().catch((error: unknown) => {
      if (!(error instanceof Over)) throw error;
    });
  }

  /** Writes a reply. */
  say(text: string): void {
    this.write(`${text}\r\n`);
  }

  /** Writes bytes as they are. */
  write(text: string): void {
    this.#output.write(text);
  }

  hangUp(): void {
    this.#output.end();
  }

  destroy(): void {
    this.#socket.destroy();
    this.#input.end();
  }

  async #serve(): Promise<void> {
    if (!await this.#answer("connect", undefined, "220 scripted.example ESMTP")) return;
    for (;;) {
      const line = await this.#input.line();
      const [verb = ""] = line.toUpperCase().split(/[ :]/, 1);
      this.#judgeGroup();
      if (await this.#obey(verb, line) === "over") return;
    }
  }

  async #obey(verb: string, line: string): Promise<"over" | void> {
    const argument = line.slice(verb.length + 1);
    switch (verb) {
      case "EHLO":
        this.#forget();
        return void await this.#answer("ehlo", argument, ehloReply(this.#setup.options, this.#isTls));
      case "HELO":
        this.#forget();
        return void await this.#answer("helo", argument, "250 scripted.example");
      case "STARTTLS":
        return this.#startTls();
      case "AUTH":
        return this.#auth(argument);
      case "MAIL":
        return this.#mail(line);
      case "RCPT":
        return this.#rcpt(line);
      case "DATA":
        return this.#data();
      case "BDAT":
        return this.#bdat(argument);
      case "RSET":
        this.#forget();
        return void await this.#answer("rset", undefined, "250 2.0.0 forgotten");
      case "NOOP":
        return this.say("250 2.0.0 nothing done");
      case "QUIT":
        if (await this.#answer("quit", undefined, "221 2.0.0 bye")) this.hangUp();
        return "over";
      default:
        return this.say("500 5.5.1 unknown command");
    }
  }

  /** What came in one group with the command that has just been read. */
  #judgeGroup(): void {
    const { groups } = this.#setup.options;
    if (this.#input.length === 0) return;
    if (groups === "lost") this.#input.clear();
    if (groups !== "refused") return;
    this.say("554 5.5.0 synchronization error");
    this.hangUp();
    throw new Over();
  }

  async #startTls(): Promise<void> {
    if (this.#setup.options.tls !== "starttls" || this.#isTls) return this.say("502 5.5.1 no STARTTLS here");
    if (!await this.#answer("starttls", undefined, "220 2.0.0 go ahead")) return;
    this.#socket.removeAllListeners("data");
    this.#input.clear();
    this.#isTls = true;
    this.#socket = this.#setup.secure(this.#socket);
    this.#output.use(this.#socket);
    this.#listen();
    this.#forget();
  }

  async #auth(argument: string): Promise<void> {
    const [mechanism = "", initial] = argument.split(" ");
    const { auth } = this.#setup.options;
    if (auth === undefined) return void await this.#answer("auth", mechanism, "502 5.5.1 no AUTH here");
    if (!await this.#answer("auth", mechanism, undefined)) return;
    const isKnown = await isLogin(auth, { mechanism, initial }, (challenge) => this.#ask(challenge));
    if (isKnown) this.#user = auth.user;
    this.say(isKnown ? "235 2.7.0 welcome" : "535 5.7.8 who are you");
  }

  async #mail(line: string): Promise<void> {
    const match = /^MAIL FROM:<([^>]*)>(.*)$/i.exec(line);
    if (match === null) return this.say("501 5.5.4 no path");
    if (this.#reversePath !== undefined) return this.say("503 5.5.1 one mail at a time");
    const [, path = "", parameters = ""] = match;
    if (!await this.#answer("mail", path, "250 2.1.0 sender ok")) return;
    this.#reversePath = path;
    this.#parameters = parameters.trim();
  }

  async #rcpt(line: string): Promise<void> {
    const path = /^RCPT TO:<([^>]+)>/i.exec(line)?.[1];
    if (path === undefined) return this.say("501 5.5.4 no path");
    if (this.#reversePath === undefined) return this.say("503 5.5.1 MAIL first");
    if (await this.#answer("rcpt", path, "250 2.1.5 recipient ok")) this.#recipients.push(path);
  }

  async #data(): Promise<void> {
    if (this.#reversePath === undefined) return this.say("503 5.5.1 MAIL first");
    if (this.#recipients.length === 0) {
      // A script may say 354 all the same.
      if (!await this.#answer("data", undefined, "554 5.5.1 no valid recipients")) return;
    } else if (!await this.#answer("data", undefined, "354 go on")) return;

    const { bodyBytes = 1, on = {} } = this.#setup.options;
    if (on.body !== undefined) {
      while (this.#input.length < bodyBytes) await this.#input.more();
      if (!await this.#answer("body", this.#input.length, undefined)) return;
    }
    await this.#take(await this.#input.content());
  }

  /** RFC 3030: the octets behind the command are content, as they are. */
  async #bdat(argument: string): Promise<void> {
    const [count = "", last] = argument.split(" ");
    this.#chunks += await this.#input.bytes(Number(count));
    if (this.#recipients.length === 0) return this.say("503 5.5.1 RCPT first");
    const usual = last === undefined ? `250 2.0.0 ${count} octets` : undefined;
    if (!await this.#answer("bdat", argument, usual)) return this.#forget();
    if (last !== undefined) await this.#take(this.#chunks);
  }

  /** All of a content has come. */
  async #take(content: string): Promise<void> {
    const mail: AcceptedMail = {
      reversePath: this.#reversePath ?? "",
      recipients: this.#recipients,
      content,
      parameters: this.#parameters,
      user: this.#user,
      isTls: this.#isTls,
    };
    this.#forget();
    const hasRecipients = mail.recipients.length > 0;
    const usual = hasRecipients ? "250 2.0.0 taken" : "554 5.5.1 no valid recipients";
    await this.#answer("content", content, usual, () => hasRecipients && this.#setup.accept(mail));
  }

  #ask(challenge: string): Promise<string> {
    this.say(`334 ${challenge}`);
    return this.#input.line();
  }

  /** Answers by script or as usual; true when the answer is a positive one and the connection goes on. */
  async #answer<K extends keyof Scripts>(
    kind: K,
    argument: Parameters<NonNullable<Scripts[K]>>[0],
    usual: string | undefined,
    accept: () => void = () => undefined,
  ): Promise<boolean> {
    const count = (this.#counts.get(kind) ?? 0) + 1;
    this.#counts.set(kind, count);
    const context: ScriptContext = { connection: this.#setup.number, count, isTls: this.#isTls };
    const script = this.#setup.options.on?.[kind] as
      | ((argument: unknown, context: ScriptContext) => Answer | Promise<Answer>)
      | undefined;
    const answer = await script?.(argument, context) ?? usual;
    if (answer === undefined) return true;
    if (typeof answer === "string") {
      const isPositive = /^[23]/.test(answer);
      if (isPositive) accept();
      this.say(answer);
      return isPositive;
    }
    if ("raw" in answer) {
      this.write(answer.raw);
      return /^[23]/.test(answer.raw);
    }
    if ("pieces" in answer) {
      const isPositive = /^[23]/.test(answer.pieces.join(""));
      if (isPositive) accept();
      this.#output.writePieces(answer.pieces);
      return isPositive;
    }
    if ("challenge" in answer) {
      await this.#ask(answer.challenge);
      this.say("535 5.7.8 that is not it");
      return false;
    }
    const last = "close" in answer
      ? answer.close
      : "reset" in answer && answer.reset !== true
      ? answer.reset
      : undefined;
    if ("acceptAndClose" in answer || "acceptAndHang" in answer || last?.startsWith("2") === true) accept();
    if (last !== undefined) this.say(last);
    if ("reset" in answer) this.#plain.resetAndDestroy();
    else if ("cut" in answer) this.#plain.destroy();
    else if ("hang" in answer || "acceptAndHang" in answer) this.#socket.pause();
    else this.hangUp();
    throw new Over();
  }

  #listen(): void {
    const socket = this.#socket;
    socket.on("data", (bytes: Buffer) => {
      const text = bytes.toString("latin1");
      this.#setup.transcript.client += text;
      if (this.#setup.options.isNarrow === true) socket.pause();
      this.#input.add(text);
      this.#setup.heard();
    });
    socket.on("error", () => this.#input.end());
    socket.on("close", () => this.#input.end());
    socket.on("end", () => this.#input.end());
  }

  /** Nothing more has come: the client is to speak. */
  #heardAll(): void {
    this.#output.release();
    if (this.#setup.options.isNarrow === true) this.#output.whenWritten(() => this.#socket.resume());
  }

  #forget(): void {
    this.#reversePath = undefined;
    this.#parameters = "";
    this.#recipients = [];
    this.#chunks = "";
  }
}
