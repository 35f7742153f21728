import type { MailContent } from "../delivery/transport.ts";
import type { Capabilities } from "./capability.ts";
import { firstLineOf, sizeOf } from "./content.ts";

/** Up to here a content goes by DATA, in one write with its final dot. */
export const ONE_WRITE_BYTES = 65_536;

/** What asks whether the content may come. */
export interface Gate {
  readonly verb: "DATA" | "BDAT";
  readonly command: string;
  /** The octets of the content that go with the command: for DATA none. */
  readonly chunk: Uint8Array;
}

const DATA: Gate = { verb: "DATA", command: "DATA", chunk: new Uint8Array() };

/**
 * Chooses how a content is to go: by DATA, or when it is large and the server offers CHUNKING by BDAT (RFC 3030), whose
 * first chunk is the first line of the content alone, a header of ours such as `Date:`.
 *
 * That line is the test: a server that offers CHUNKING and does not speak it takes a chunk for commands, and gets to
 * see one that it refuses instead of a content that somebody else has written. An empty chunk would do, but Postfix
 * refuses it (`551 5.7.1 Null BDAT request`). Small mails go by DATA, whose 354 costs no round trip of its own where
 * mails follow each other.
 */
export function gateOf(content: MailContent, capabilities: Capabilities): Gate {
  if (!capabilities.chunking || sizeOf(content) <= ONE_WRITE_BYTES) return DATA;
  const chunk = firstLineOf(content);
  return chunk === undefined ? DATA : { verb: "BDAT", command: `BDAT ${chunk.length}`, chunk };
}
