import { expect, test } from "bun:test";
import { createMailer } from "../../mod.ts";
import { createDatabase } from "../database.ts";
import { on, run } from "./command.ts";

test(
  "commands read a time as what it is where the database writes times in another way: list failed, or took the day for the month",
  async () => {
    await using database = await createDatabase();
    const name = new URL(database.url).pathname.slice(1);
    // Days that could be months.
    const scheduledAt = "2030-03-02T01:00:00.000Z";
    const { id } = await createMailer(database.sql, { from: "shop@shop.example" })
      .send({ to: "ann@example.com", subject: "Hello", text: "!", scheduledAt });
    await database.sql`update mailchute.message set created_at = '2026-05-04T12:00:00Z'`;
    for (const style of ["German, DMY", "SQL, DMY", "SQL, MDY", "Postgres, DMY"]) {
      await database.sql.unsafe(`alter database ${name} set datestyle = '${style}'`);
      const list = await run(["list", "--json"], on(database));
      expect([style, list.code, list.stderr]).toEqual([style, 0, ""]);
      expect(JSON.parse(list.stdout)).toMatchObject([{ id, createdAt: "2026-05-04T12:00:00.000Z" }]);
      const show = JSON.parse((await run(["show", id, "--json"], on(database))).stdout);
      expect(new Date(show.scheduledAt).toISOString()).toBe(scheduledAt);
    }
  },
  30_000,
);
