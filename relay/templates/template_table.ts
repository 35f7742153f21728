import { languageKey } from "../../src/stored_template.ts";
import type { Statements } from "../database/statements.ts";

/** A version of a template, as it is stored. */
export interface StoredVersion {
  readonly app: string;
  readonly name: string;
  /** Empty: none. */
  readonly language: string;
  readonly version: number;
  readonly subject: string;
  readonly text: string | undefined;
  readonly html: string | undefined;
  /** The `{{names}}` in it, sorted. */
  readonly names: readonly string[];
  readonly createdAt: Date;
  readonly createdBy: string;
}

/** A template that is to be saved. */
export interface NewTemplate {
  readonly name: string;
  readonly language: string;
  readonly subject: string | undefined;
  readonly text: string | undefined;
  readonly html: string | undefined;
}

/** Which versions are meant; what is undefined leaves it open. */
export interface VersionFilter {
  readonly app?: string | undefined;
  readonly name?: string | undefined;
  readonly language?: string | undefined;
  readonly version?: number | undefined;
}

/** `before`: the statement sees the table as it was at its beginning. */
const SAVE = `
select mailchute.save_template($1, $2, $3, $4, $5, $6) as version, (
  select max(t.version) from mailchute.template t
  where t.app = $1 and t.name = $2 and t.language = $7) as before`;

const MATCH = `($1::text is null or t.app = $1) and ($2::text is null or t.name = $2)
  and ($3::text is null or t.language = $3) and ($4::int is null or t.version = $4)`;

/** Index: template_pkey, in its order. */
const LIST = `
select distinct on (t.app, t.name, t.language) t.app, t.name, t.language, t.version, t.subject, t.text, t.html, to_jsonb(t.names) as names,
  t.created_at, t.created_by
from mailchute.template t where ${MATCH}
order by t.app, t.name, t.language, t.version desc`;

const REMOVE = `delete from mailchute.template t where ${MATCH} returning t.name, t.language, t.version`;

/** Saves a template; `isNew` is false when the newest version says the same. */
export async function saveTemplate(
  sql: Statements,
  app: string,
  { name, language, subject, text, html }: NewTemplate,
): Promise<{ readonly version: number; readonly isNew: boolean }> {
  const [row] = await sql.unsafe(SAVE, [
    app,
    name,
    subject ?? null,
    text ?? null,
    html ?? null,
    language,
    languageKey(language),
  ]);
  return { version: row?.version as number, isNew: row?.version !== row?.before };
}

/** The newest version of each language of each template, or the one that is asked for. */
export async function listTemplates(sql: Statements, filter: VersionFilter): Promise<readonly StoredVersion[]> {
  return (await sql.unsafe(LIST, valuesOf(filter))).map((row) => ({
    ...{ app: row.app as string, name: row.name as string, language: row.language as string },
    ...{ version: row.version as number, subject: row.subject as string, names: row.names as string[] },
    text: (row.text ?? undefined) as string | undefined,
    html: (row.html ?? undefined) as string | undefined,
    ...{ createdAt: row.created_at as Date, createdBy: row.created_by as string },
  }));
}

/** Removes versions, and tells which. Mails that were made of them stay as they are. */
export async function removeTemplates(
  sql: Statements,
  filter: VersionFilter,
): Promise<readonly Pick<StoredVersion, "name" | "language" | "version">[]> {
  return (await sql.unsafe(REMOVE, valuesOf(filter))).map((row) => (
    { name: row.name as string, language: row.language as string, version: row.version as number }
  ));
}

/** What a template makes of values. */
export interface Preview {
  readonly name: string;
  readonly language: string;
  readonly version: number;
  readonly subject: string;
  readonly text?: string;
  readonly html?: string;
}

/** Merges a template as a mail would, in its language or what stands for it. */
export async function previewTemplate(sql: Statements, app: string, template: object): Promise<Preview> {
  try {
    const [row] = await sql.unsafe("select mailchute.preview_template($1, $2::text::jsonb)::text as preview", [
      app,
      JSON.stringify(template),
    ]);
    return JSON.parse(row?.preview as string);
  } catch (error) {
    // As enqueue says it, which makes the mail.
    if (error instanceof Error) error.message = error.message.replace("Cannot enqueue the mail:", "Cannot preview it:");
    throw error;
  }
}

function valuesOf({ app, name, language, version }: VersionFilter): (string | number | null)[] {
  return [app ?? null, name ?? null, language === undefined ? null : languageKey(language), version ?? null];
}
