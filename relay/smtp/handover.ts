import { DotStuffer } from "../../src/mime/dot_stuffer.ts";
import { dotStuff } from "../../src/mime/encoding.ts";
import type { MailContent } from "../delivery/transport.ts";
import { chunksOf, sizeOf } from "./content.ts";
import type { Deadlines } from "./deadline.ts";
import type { Dialogue, ReplyReader } from "./dialogue.ts";
import { type Gate, ONE_WRITE_BYTES } from "./gate.ts";

/**
 * DESIGN: how the content gets to the server, from the gate's yes to the bytes that end it.
 *
 * Small, by DATA: content and final dot in one write. Large, by DATA: the content, slice by slice; the dot when the
 * kernel has it all. Large, by BDAT (RFC 3030): its first line with the gate (`gate.ts`), the rest as one chunk, and
 * when the server has said that it has it, `BDAT 0 LAST`. So the instant in which nobody knows whether the mail was
 * taken is as long as 13 bytes need.
 */

const FINAL_DOT = Uint8Array.of(0x2e, 0x0d, 0x0a);

export interface HandoverOptions {
  readonly gate: Gate;
  readonly deadlines: Deadlines;
  /** Reads the replies to the content. */
  readonly reader: ReplyReader;
  /** The bytes that end the content are about to be written; false when they must not be. */
  readonly ending: () => boolean;
  /** They are written. */
  readonly ended: () => void;
}

/** Hands one content over. */
export class Handover {
  readonly #content: MailContent;
  readonly #dialogue: Dialogue;
  readonly #options: HandoverOptions;
  #isTaken = false;

  constructor(content: MailContent, dialogue: Dialogue, options: HandoverOptions) {
    this.#content = content;
    this.#dialogue = dialogue;
    this.#options = options;
  }

  /** The kernel has the whole content. */
  isHanded = false;

  /** Writes the content; the end follows at once or by `handed` and `taken`. */
  begin(): void {
    const content = this.#content;
    const sizeBytes = sizeOf(content);
    const { gate, deadlines, reader } = this.#options;
    if (gate.verb === "DATA" && content instanceof Uint8Array && sizeBytes <= ONE_WRITE_BYTES) {
      if (!this.#options.ending()) return;
      this.#dialogue.content(dotStuff(content));
      return this.#endByDot();
    }
    const deadlineMs = deadlines.bodyMs;
    // What we wait for while no reply is: with BDAT too, when the server has said that it has the chunk before the
    // kernel has.
    this.#dialogue.rest("body", deadlineMs);
    if (gate.verb === "DATA") return this.#dialogue.stream(stuffed(content), sizeBytes);
    const restBytes = sizeBytes - gate.chunk.length;
    this.#dialogue.say(`BDAT ${restBytes}`, { verb: "BDAT", phase: "body", deadlineMs, reader });
    this.#dialogue.stream(chunksOf(content, gate.chunk.length), restBytes);
  }

  /** Answers a 354 that came though nobody is left to send to: nothing, to nobody. */
  endWithout(): void {
    if (this.#options.ending()) this.#endByDot();
  }

  /** The kernel has the whole content. */
  handed(): void {
    this.isHanded = true;
    if (this.#options.gate.verb === "BDAT") return this.#endByLast();
    if (this.#options.ending()) this.#endByDot();
  }

  /** The server has the chunk. */
  taken(): void {
    this.#isTaken = true;
    this.#endByLast();
  }

  #endByLast(): void {
    // The server may have the last bytes before the kernel says that it has passed them on.
    if (!this.isHanded || !this.#isTaken) return;
    const { deadlines, reader, ending, ended } = this.#options;
    if (!ending()) return;
    this.#dialogue.say("BDAT 0 LAST", { verb: "CONTENT", phase: "final", deadlineMs: deadlines.finalMs, reader });
    ended();
  }

  #endByDot(): void {
    const { deadlines, reader, ended } = this.#options;
    this.#dialogue.content(FINAL_DOT, ".");
    this.#dialogue.expect({ verb: "CONTENT", phase: "final", deadlineMs: deadlines.finalMs, reader });
    ended();
  }
}

async function* stuffed(content: MailContent): AsyncGenerator<Uint8Array> {
  const stuffer = new DotStuffer();
  for await (const chunk of chunksOf(content)) yield stuffer.push(chunk);
  yield stuffer.end();
}
