import { expect, test } from "bun:test";
import { createDatabase } from "../database.ts";
import { type RelayProcess, startRelayProcess, temporaryDirectory } from "../relay_process.ts";
import { describeMessage, enqueue, enqueueMany, makeDue } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";

const OTHERS = 60;
const REASON = "The relay has died 4 times in a row with this mail in flight, the last time with nothing else";

/** A server at which every relay dies that says MAIL for this sender, with the mails that it has under way. */
function deadlyTo(sender: string, relay: () => RelayProcess | undefined) {
  const met: string[][] = [];
  let underWay: string[] = [];
  const isArmed = { yes: true };
  const on = {
    mail: (address: string) => {
      underWay.push(address);
      if (address !== sender || !isArmed.yes) return undefined;
      met.push(underWay);
      underWay = [];
      relay()?.kill("SIGKILL");
      return { hang: true } as const;
    },
  };
  return { on, met, isArmed };
}

test(
  "a mail that kills its relay is tried alone after three crashes, then fails and says why; all others are sent",
  async () => {
    await using database = await createDatabase();
    using state = temporaryDirectory();
    let relay: RelayProcess | undefined;
    const deadly = deadlyTo("killer@shop.example", () => relay);
    await using server = await startScriptedServer({ on: deadly.on });
    await enqueueMany(database, OTHERS / 2);
    const killer = await enqueue(database, { from: "killer@shop.example" });
    await enqueueMany(database, OTHERS / 2);
    const env = {
      DATABASE_URL: database.url,
      SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=none`,
      RELAY_STATE_DIR: state.path,
    };

    const codes: number[] = [];
    for (let start = 1; start <= 6; start++) {
      await makeDue(database);
      relay = startRelayProcess(["run", "--once"], env);
      codes.push(await relay.exited);
      if (start === 3) {
        const [row] = await database.sql`
        select crashes from mailchute.queue q join mailchute.message m using (seq) where m.id = ${killer}`;
        // The third is counted by the next start.
        expect(row?.crashes).toBe(2);
      }
      if (codes.at(-1) === 0) break;
    }
    expect(codes).toEqual([-1, -1, -1, -1, 0]);
    expect(deadly.met).toHaveLength(4);
    expect(relay?.output()).toContain(REASON);

    const { state: final, recipients } = await describeMessage(database, killer);
    expect(final).toBe("failed");
    expect(recipients[0]?.reason).toBe(REASON);
    await using shown = startRelayProcess(["show", killer], env);
    expect(await shown.exited).toBe(0);
    expect(shown.output()).toContain(REASON);

    // Whoever was at its final dot at a crash waits as uncertain; nobody else has failed.
    await makeDue(database);
    relay = startRelayProcess(["run", "--once"], env);
    expect(await relay.exited).toBe(0);
    const states = await database
      .sql`select state, count(*)::int as count from mailchute.recipient group by 1 order by 1`;
    expect(states.map((row) => ({ ...row }))).toEqual([{ state: "failed", count: 1 }, {
      state: "sent",
      count: OTHERS,
    }]);

    // Mended, and tried again by a person: it begins anew.
    deadly.isArmed.yes = false;
    await using retried = startRelayProcess(["retry", killer], env);
    expect(await retried.exited).toBe(0);
    relay = startRelayProcess(["run", "--once"], env);
    expect(await relay.exited).toBe(0);
    expect(relay.output()).not.toContain("tried alone");
    expect((await describeMessage(database, killer)).state).toBe("sent");
  },
  120_000,
);

test(
  "a mail that was only slow at three crashes is sent as soon as it is tried alone, and everything else waits for it",
  async () => {
    await using database = await createDatabase();
    using state = temporaryDirectory();
    const id = await enqueue(database, { from: "slow@shop.example" });
    await enqueueMany(database, 4);
    await database
      .sql`update mailchute.queue set crashes = 3 where seq = (select seq from mailchute.message where id = ${id})`;
    const waiting = await describeMessage(database, id);
    expect(waiting.recipients[0]?.reason).toContain("Was in flight at 3 crashes of the relay in a row");
    const said: string[] = [];
    await using server = await startScriptedServer({
      on: {
        mail: (address) => void said.push(address),
        content: (content) => void said.push(`end of ${/^From: (?:Shop )?<?([^>\r]*)/m.exec(content)?.[1]}`),
      },
    });
    await using relay = startRelayProcess(["run", "--once"], {
      DATABASE_URL: database.url,
      SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=none`,
      RELAY_STATE_DIR: state.path,
    });
    expect(await relay.exited).toBe(0);
    expect(relay.output()).toContain("tried alone");
    const at = said.indexOf("slow@shop.example");
    expect(said[at + 1]).toBe("end of slow@shop.example");
    const begun = said.slice(0, at).filter((each) => !each.startsWith("end of")).length;
    const ended = said.slice(0, at).filter((each) => each.startsWith("end of")).length;
    expect(begun).toBe(ended);
    expect(server.mails).toHaveLength(5);
    expect((await describeMessage(database, id)).state).toBe("sent");
  },
  60_000,
);
