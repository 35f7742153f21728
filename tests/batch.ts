import type { TestDatabase } from "./database.ts";

/** What a test may choose of a batch. */
export interface TestBatchOptions {
  /** @default {"news/1"} */
  readonly name?: string;
  /** How many readers it has: reader1@example.com and so on. @default {2} */
  readonly readers?: number;
  /** More fields of its mail. */
  readonly mail?: Readonly<Record<string, unknown>>;
  readonly variables?: Readonly<Record<string, string>>;
}

/** Sends to many as the superuser, by the same function that the client calls. @returns the batch's id */
export async function enqueueBatch(database: TestDatabase, options: TestBatchOptions = {}): Promise<string> {
  const { name = "news/1", readers = 2, mail = {}, variables } = options;
  const request = {
    ...{ id: crypto.randomUUID(), batch: name },
    mail: { from: { email: "shop@example.com", name: "Shop" }, subject: "News", text: "News", ...mail },
    recipients: Array.from(
      { length: readers },
      (_, index) => [`reader${index + 1}@example.com`, null, null, variables ?? null],
    ),
  };
  await database.sql`select * from mailchute.enqueue_many_v1(${JSON.stringify(request)}::text::jsonb)`;
  return request.id;
}
