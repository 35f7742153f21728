import type { Blame, Outcome, Phase, Reply, RouteTrouble } from "../delivery/transport.ts";

/** How far a mail had come when its connection ended. */
export type Progress =
  /** The server has not accepted MAIL. */
  | "untouched"
  /** It has, and the final dot is not written: the server cannot have taken the mail. */
  | "started"
  /** The final dot is written and its reply not read: only the server knows. */
  | "committed";

/** What the end of its connection means for a recipient that had no reply of its own; undefined: no attempt at all. */
export function meaningOfEnd(
  progress: Progress,
  trouble: RouteTrouble,
): { readonly kind: "deferred" | "uncertain"; readonly blame: Blame } | undefined {
  const blame = BLAME_NETWORK.has(trouble.code) ? "network" : "route";
  if (progress !== "committed" && NO_ATTEMPT.has(trouble.code)) return undefined;
  switch (progress) {
    case "untouched":
      return undefined;
    case "started":
      return { kind: "deferred", blame };
    case "committed":
      // A refusal is an answer: the mail was not taken (421 and 503 after the final dot). Anything else is none.
      return { kind: trouble.reply !== undefined && trouble.reply.code >= 400 ? "deferred" : "uncertain", blame };
    default:
      return progress satisfies never;
  }
}

/** Not the doing of the mail and not that of the server's opinion of it: it is as untried as before. */
const NO_ATTEMPT: ReadonlySet<string> = new Set(["content_failed", "chunking_broken"]);

const BLAME_NETWORK: ReadonlySet<string> = new Set(["closed", "timeout"]);

/** Builds a trouble; without a reason of its own, the reply is the reason. */
export function troubleOf(
  code: string,
  phase: Phase,
  details: { readonly reason?: string; readonly reply?: Reply | undefined; readonly detail?: string },
): RouteTrouble {
  const { reply, detail } = details;
  const reason = details.reason ?? (reply === undefined ? code : reasonOf(reply));
  const finer = detail === undefined ? {} : { detail };
  return reply === undefined
    ? { code, phase, reason, ...finer }
    : { code, phase, reply: bare(reply), reason, ...finer };
}

/** Builds an outcome; without a reason of its own, the reply is the reason. */
export function outcomeOf(
  position: number,
  meaning: Pick<Outcome, "kind" | "phase" | "blame">,
  details: { readonly reason?: string; readonly reply?: Reply | undefined },
): Outcome {
  const { kind, phase, blame } = meaning;
  const { reply } = details;
  const reason = details.reason ?? (reply === undefined ? kind : reasonOf(reply));
  if (reply === undefined) return { position, kind, phase, blame, reason };
  return { position, kind, phase, blame, reply: bare(reply), reason };
}

/** Without the lines that only the dialogue needs: outcomes are stored. */
function bare(reply: Reply): Reply {
  const { code, enhanced, text } = reply;
  return enhanced === undefined ? { code, text } : { code, enhanced, text };
}

// Servers like to repeat the address; the text of the reply keeps it, the sentence for logs does not.
const ADDRESS = /<[^<>\s]*@[^<>\s]*>|[^\s<>"'(),;:]+@[^\s<>"'(),;:]+/g;

function reasonOf(reply: Reply): string {
  return reply.text === "" ? `The server said ${reply.code}` : reply.text.replace(ADDRESS, "<address>");
}
