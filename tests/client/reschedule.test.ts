import { expect, test } from "bun:test";
import { createMailer } from "../../mod.ts";
import { createDatabase } from "../database.ts";
import { rejects } from "./cases.ts";
import { MESSAGE } from "./offline.ts";

test("reschedule to expiresAt or later is refused, names `at`, and leaves the mail where it was", async () => {
  await using db = await createDatabase();
  const mail = createMailer(db.sql);
  const nowMs = Date.now();
  const scheduledAt = new Date(nowMs + 60_000);
  const expiresAt = new Date(nowMs + 120_000);
  const { id } = await mail.send({ ...MESSAGE, scheduledAt, expiresAt });
  for (const at of [expiresAt, new Date(nowMs + 3_600_000)]) {
    const error = await rejects(mail.reschedule(id, at), "validation_error", "at");
    expect(error.issues).toHaveLength(1);
    expect(error.issues[0]?.message).toContain("expiresAt");
  }
  expect((await mail.get(id))?.scheduledAt?.getTime()).toBe(scheduledAt.getTime());
  expect(await mail.reschedule(id, new Date(expiresAt.getTime() - 1))).toBe("rescheduled");
  const asked = db.sql`select mailchute.reschedule_v1(${id}, ${expiresAt})`.execute();
  const error = await asked.then(() => undefined, (error: { readonly code: string; readonly detail: string }) => error);
  expect(error?.code).toBe("MC001");
  expect(JSON.parse(error?.detail ?? "[]")).toMatchObject([{ path: "at" }]);
});

test("what cannot be rescheduled or canceled as it is asked is refused before the app's own transaction ends for it", async () => {
  await using db = await createDatabase();
  const mail = createMailer(db.sql);
  const { id } = await mail.send({ ...MESSAGE, scheduledAt: new Date(Date.now() + 60_000) });
  await db.sql.begin(async (tx) => {
    const days = ["2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z"];
    for (const at of [...days, "2026-02-20T25:00:00Z", "2026-02-20T00:61Z", "2026-02-20T00:00:00+99:99"]) {
      await rejects(mail.reschedule(id, at, { tx }), "validation_error", "at");
    }
    for (const which of [{}, { batch: undefined }, { batch: "a", tag: "b" }, null]) {
      await rejects(mail.cancel(which as { batch: string }, { tx }), "validation_error", "batch");
    }
    for (
      const at of [new Date(0), "2028-02-29T24:00:00+0130", "2026-12-31T23:59:59.123456789-03:30", "9999-12-31T23:59Z"]
    ) {
      expect(await mail.reschedule(id, at, { tx })).toBe("rescheduled");
    }
  });
  await rejects(mail.reschedule(id, "9999-12-31T23:59-12:00"), "validation_error", "at");
});
