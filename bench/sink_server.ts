import type { Socket } from "bun";

// DESIGN: takes mail and throws it away, as smtp-sink does, with no more work per mail than finding its end. Text is
// read as Latin-1: one byte is one character, and the final dot looks the same in every charset.

/** What a watcher may want to know. */
export interface SinkEvents {
  /** MAIL has arrived: the whole command. */
  readonly onMail?: (command: string) => void;
  /** The final dot has arrived. */
  readonly onAccepted?: () => void;
  /** Replies go out. */
  readonly onReply?: () => void;
}

/** One connection. */
export interface Visitor {
  /** Inside a mail. */
  inData: boolean;
  /** What has arrived and is not understood yet. */
  rest: string;
}

const END = "\r\n.\r\n";
const GREETING = "220 sink ESMTP\r\n";
const CAPABILITIES = "250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n";

/** Listens on a free port of 127.0.0.1; `delayMs` is how far away it seems to be. */
export function serveSink(
  events: SinkEvents = {},
  delayMs = 0,
): { readonly port: number; stop(): void } {
  const server = Bun.listen<Visitor>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open(socket) {
        socket.data = { inData: false, rest: "" };
        socket.write(GREETING);
      },
      data(socket, bytes) {
        const replies = take(socket.data, bytes.toString("latin1"), events);
        if (replies === "") return;
        events.onReply?.();
        if (delayMs === 0) answer(socket, replies);
        // In the order of their timers, which is that of the commands.
        else setTimeout(() => answer(socket, replies), delayMs);
      },
    },
  });
  return { port: server.port, stop: () => server.stop(true) };
}

/** Takes in what has arrived, cut wherever it may be. @returns the replies to it */
export function take(visitor: Visitor, arrived: string, events: SinkEvents = {}): string {
  let text = visitor.rest + arrived;
  let replies = "";
  for (;;) {
    if (visitor.inData) {
      const end = text.indexOf(END);
      if (end < 0) {
        // The end may be cut anywhere; the rest of a large mail is not kept.
        visitor.rest = text.slice(-(END.length - 1));
        return replies;
      }
      text = text.slice(end + END.length);
      visitor.inData = false;
      replies += "250 2.0.0 Ok\r\n";
      events.onAccepted?.();
    }
    const end = text.indexOf("\r\n");
    if (end < 0) {
      visitor.rest = text;
      return replies;
    }
    const verb = text.slice(0, 4).toUpperCase();
    if (verb === "MAIL") events.onMail?.(text.slice(0, end));
    // After DATA the line break stays: a mail may be nothing but its final dot.
    text = text.slice(verb === "DATA" ? end : end + 2);
    if (verb === "DATA") visitor.inData = true;
    replies += replyTo(verb);
  }
}

function replyTo(verb: string): string {
  if (verb === "DATA") return "354 Go on\r\n";
  if (verb === "EHLO") return CAPABILITIES;
  if (verb === "QUIT") return "221 2.0.0 Bye\r\n";
  return "250 2.0.0 Ok\r\n";
}

function answer(socket: Socket<Visitor>, replies: string): void {
  const written = socket.write(replies);
  // Replies are a few bytes each: whoever lets them pile up does not read, and gets no more.
  if (written < replies.length || replies.endsWith("Bye\r\n")) socket.end();
}
