import { expect } from "bun:test";
import { chmodSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createDatabase } from "../database.ts";
import { program, testWith } from "../debian.ts";
import { accepting, freePort } from "../port.ts";
import { temporaryDirectory } from "../relay_process.ts";
import { enqueueMany, openTestRelay } from "../relay.ts";

const MAILS = 2_000;
const SINK = program("/usr/sbin/smtp-sink", "/usr/bin/smtp-sink");

testWith(
  { program: SINK, package: "postfix" },
  "of 2,000 mails to Postfix's smtp-sink, 2,000 arrive, each with one Message-ID, all are sent and none is left due",
  async () => {
    using folder = temporaryDirectory();
    const dumps = join(folder.path, "mails");
    mkdirSync(dumps);
    // smtp-sink gives up root for the user that it is told.
    chmodSync(folder.path, 0o755);
    chmodSync(dumps, 0o777);
    const port = await freePort();
    const sink = Bun.spawn([SINK as string, "-u", "nobody", "-d", `${dumps}/%H%M%S.`, `127.0.0.1:${port}`, "100"], {
      stdout: "ignore",
      stderr: "pipe",
    });
    try {
      await accepting(port);
      await using database = await createDatabase();
      await enqueueMany(database, MAILS);
      await using running = await openTestRelay(database, { smtpPort: port });
      expect(await running.relay.runOnce()).toEqual({ waiting: 0, leased: 0 });

      const [rows] = await database.sql`
        select (select count(*)::int from mailchute.recipient where state = 'sent') as sent, (select count(*)::int from mailchute.queue) as open,
          (select count(*)::int from mailchute.attempt where code = 250) as replies`;
      expect({ ...rows }).toEqual({ sent: MAILS, open: 0, replies: MAILS });
      const ids = readdirSync(dumps).flatMap((file) => {
        const found = readFileSync(join(dumps, file), "latin1").match(/^Message-ID: <.*>$/gim) ?? [];
        expect(found).toHaveLength(1);
        return found;
      });
      expect(ids).toHaveLength(MAILS);
      expect(new Set(ids).size).toBe(MAILS);
    } finally {
      sink.kill();
      await sink.exited;
    }
  },
);
