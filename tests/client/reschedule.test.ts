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
