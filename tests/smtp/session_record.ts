import { DEFAULT_DEADLINES } from "../../relay/smtp/deadline.ts";
import type { Wire } from "../../relay/smtp/dialogue.ts";
import { Session, type SessionSettings } from "../../relay/smtp/session.ts";
import { outcomesOf } from "./setup.ts";

export const SESSION_SETTINGS: SessionSettings = {
  tls: "none",
  ehloName: "relay.example",
  auth: undefined,
  authMechanism: undefined,
  chunking: true,
  dsn: "failures",
  allowPlaintextAuth: false,
  deadlines: DEFAULT_DEADLINES,
};

/** A session without I/O whose effects are written down. */
export interface Recorded {
  readonly session: Session;
  /** `write …`, `stream …`, `roomy`, outcomes, `closed …`: since it was last taken. */
  take(): string[];
  /** Lets the server say this. */
  hear(text: string): void;
  /** Reads what is to be streamed, to its end. */
  streamed(): Promise<string>;
}

/** Opens a session that is ready for a mail on a server with these EHLO keywords. */
export function readySession(offer: readonly string[], settings: Partial<SessionSettings> = {}): Recorded {
  let log: string[] = [];
  let unwritten = "";
  let chunks: AsyncIterable<Uint8Array> | undefined;
  const wire: Wire = {
    write: (bytes) => (unwritten += new TextDecoder("latin1").decode(bytes)),
    stream: (given) => {
      wire.flush();
      chunks = given;
      log.push("stream");
    },
    flush: () => {
      if (unwritten !== "") log.push(`write ${unwritten}`);
      unwritten = "";
    },
    startTls: () => log.push("start TLS"),
    setDeadline: () => undefined,
    close: () => log.push("close"),
  };
  const session: Session = new Session(wire, { ...SESSION_SETTINGS, ...settings }, {
    ready: () => undefined,
    roomy: () => log.push("roomy"),
    delivered: (_, result) =>
      log.push(result.kind === "attempted" ? outcomesOf(result).join() : `unavailable ${result.trouble.code}`),
    closed: (trouble) => log.push(`closed ${trouble.code}`),
  });
  const hear = (text: string): void => session.receive(new TextEncoder().encode(text));
  session.start();
  session.connected();
  hear("220 mx\r\n");
  hear(["mx", ...offer].map((line, index) => `250${index === offer.length ? " " : "-"}${line}\r\n`).join(""));
  log = [];
  return {
    session,
    hear,
    take: () => log.splice(0),
    async streamed() {
      let text = "";
      for await (const chunk of chunks ?? []) text += new TextDecoder("latin1").decode(chunk);
      return text;
    },
  };
}
