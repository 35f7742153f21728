import { expect, test } from "bun:test";
import { isFinal, type State } from "../../mod.ts";
import { createDatabase } from "../database.ts";

const FINAL: Readonly<Record<State, boolean>> = {
  scheduled: false,
  queued: false,
  sending: false,
  deferred: false,
  held: false,
  sent: true,
  bounced: true,
  failed: true,
  expired: true,
  suppressed: true,
  canceled: true,
};

test("isFinal() tells the final states from the open ones", () => {
  for (const [state, final] of Object.entries(FINAL)) expect([state, isFinal(state as State)]).toEqual([state, final]);
});

test("of final states the worst stands for a message, and none of them hides that somebody was not reached", async () => {
  await using db = await createDatabase();
  const worstFirst = ["failed", "bounced", "expired", "canceled", "suppressed", "sent"];
  for (const [place, state] of worstFirst.entries()) {
    for (const other of worstFirst.slice(place)) {
      const [row] = await db.sql`select mailchute.message_state(array[${other}::text, ${state}::text]) as state`;
      expect(row?.state).toBe(state);
    }
  }
});

test("the database knows the same states, and lets the open ones stand for a message first", async () => {
  await using db = await createDatabase();
  for (const open of Object.keys(FINAL).filter((state) => !FINAL[state as State])) {
    for (const final of Object.keys(FINAL).filter((state) => FINAL[state as State])) {
      const [row] = await db.sql.unsafe("select mailchute.message_state(array[$1::text, $2::text]) as state", [
        final,
        open,
      ]);
      expect(row?.state).toBe(open);
    }
  }
});
