import type { ClaimedMessage } from "../relay/queue/queue.ts";

/** When it was due first. */
export const NOW_MS = 1_700_000_000_000;

/** A claimed message to three recipients. @param held the last of them waits for a person */
export function message(attempt = 1, held = false): ClaimedMessage {
  return {
    ...{
      seq: "1",
      lease: "2",
      lane: 1,
      attempt,
      takenOver: false,
      wasOurs: false,
      unrecorded: false,
      intended: false,
      crashes: 0,
      wasAlone: false,
      id: "id",
      app: "shop",
      contentId: "content",
    },
    ...{ from: { email: "a@b.example", name: null }, replyTo: [], returnPath: null, unsubscribe: null },
    ...{
      onUncertain: null,
      stream: null,
      batch: null,
      variables: null,
      firstDueMs: NOW_MS,
      expiresAtMs: null,
      retriedAtMs: null,
      waitedFor: null,
    },
    recipients: [0, 1, 2].map((position) => recipient(position, held && position === 2)),
  };
}

/** One of its recipients. */
export function recipient(position: number, held = false): ClaimedMessage["recipients"][number] {
  return { position, kind: "to", email: `r${position}@example.com`, name: null, open: !held, held, suppressed: null };
}
