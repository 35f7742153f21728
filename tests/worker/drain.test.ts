import { afterAll, expect, test } from "bun:test";
import { describeMessage, enqueue } from "../relay.ts";
import { setup, stopWorker } from "./setup.ts";

afterAll(stopWorker);

test("a mail goes from the queue through workerd to the server, and is settled", async () => {
  await using s = await setup();
  const id = await enqueue(s.database, { subject: "Grüße", text: "Hallo\n.\n..Punkt" });
  expect(await s.drain()).toMatchObject({ claimed: 1, sent: 1, end: "empty" });
  expect(s.server.mails).toHaveLength(1);
  expect(await describeMessage(s.database, id)).toMatchObject({ state: "sent" });
}, 60_000);
