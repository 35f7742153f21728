import type { Sql } from "postgres";
import type { MailchuteError } from "../../mod.ts";
import type { TestDatabase } from "../database.ts";

/** A mail but what it says. */
export const HEAD = { from: "a@shop.example.com", to: "ann@example.com" };

/** A template, as a test wants it. */
export interface Saved {
  readonly app?: string;
  readonly name?: string;
  readonly language?: string;
  readonly subject?: string;
  readonly text?: string | null;
  readonly html?: string | null;
}

/** Saves a template. @returns its version */
export async function save(
  sql: Sql,
  { app = "postgres", name = "welcome", language = "", subject = "s", text = "t", html = null }: Saved,
): Promise<number> {
  const [row] =
    await sql`select mailchute.save_template(${app}, ${name}, ${subject}, ${text}, ${html}, ${language}) as version`;
  return row?.version as number;
}

/** What a mail says. */
export async function contentOf(database: TestDatabase, id: string): Promise<object> {
  const [row] = await database.sql`
    select c.subject, c.text, c.html from mailchute.message m join mailchute.content c on c.id = m.content_id where m.id = ${id}`;
  return { ...row };
}

/** The paths of the issues with which a promise is refused. */
export async function issuesOf(asked: Promise<unknown>): Promise<readonly string[]> {
  return await asked.then(() => [], (error: MailchuteError) => error.issues.map(({ path }) => path));
}
