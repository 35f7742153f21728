import type { Issue } from "../error.ts";
import { type Finding, refuse } from "../finding.ts";
import type { Message } from "../message.ts";
import { valueProblem } from "../mime/header.ts";
import { type FilledTemplate, LANGUAGE, languageKey, type StoredTemplate } from "../stored_template.ts";
import { isTemplate, merge, namesIn, type Values } from "../template.ts";
import { Refused, refuseIssue } from "./refused.ts";

/** A template for the fake mailer, as `mailchute template save` would store it. */
export interface FakeTemplate {
  /** What mails call it. */
  readonly name: string;
  /** Such as `de` or `de-AT`. @default none: for whoever asks for a language that is not there */
  readonly language?: string | undefined;
  /** One line, with `{{names}}`. */
  readonly subject: string;
  /** As in a mail; one of text and html must be there. */
  readonly text?: string | undefined;
  /** As in a mail, rendered. */
  readonly html?: string | undefined;
}

/** A mail in memory: what a template makes of it stands in it. */
export type FakeMessage = Message & {
  /** Empty when the mail has a template, and the fake mailer was given none. */
  readonly subject: string;
};

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

/** Refuses what the database would not store. */
export function checkTemplates(templates: readonly FakeTemplate[]): readonly FakeTemplate[] {
  const findings: Finding[] = [];
  for (const [index, template] of templates.entries()) {
    const { name: called, subject, text, html } = template;
    const add = (name: string, message: string) => findings.push({ path: `templates.${index}.${name}`, message });
    if (!NAME.test(called)) add("name", "it is not 1 to 100 of A-Z a-z 0-9 . _ -, first a letter or digit");
    if (!LANGUAGE.test(template.language ?? "")) add("language", "it is no language such as de or de-AT");
    if (subject === undefined) add("subject", "it is missing");
    else if (valueProblem(subject) !== undefined) add("subject", "it has a line break or a control character");
    if (text === undefined && html === undefined) add("text", "it is missing, and html too");
    for (const [name, value = ""] of Object.entries({ subject, text, html })) {
      if (!isTemplate(value)) add(name, "it has {{ without a name like {{name}}");
    }
  }
  refuse("Cannot make the mailer", findings);
  return templates;
}

/**
 * Makes a mail of one that names a template, as the database does.
 *
 * @param templates the later of one name and language is the newer; undefined: any name will do, and nothing is merged
 */
export function mailOfTemplate(message: Message, templates: readonly FakeTemplate[] | undefined): FakeMessage {
  const { template } = message;
  if (template === undefined) return { ...message, subject: message.subject ?? "" };
  if (templates === undefined) return { ...message, subject: "" };
  const { subject, text, html } = findTemplate(templates, template);
  const values = (template.variables ?? {}) as Values;
  const issues = valueIssues(values, { subject, all: [subject, text, html], where: "the subject" })
    .map(({ path, message: why }) => ({ path: `template.${path}`, message: why }));
  const [first] = issues;
  if (first !== undefined) {
    throw new Refused("MC001", `Cannot enqueue the mail: ${first.path} ${first.message}`, issues);
  }
  return {
    ...message,
    subject: merge(subject, values),
    ...(text === undefined ? {} : { text: merge(text, values) }),
    ...(html === undefined ? {} : { html: merge(html, values, "html") }),
  };
}

/** The faults of values for texts, one of which is the subject. */
export function valueIssues(
  values: Values,
  { subject, all, where }: {
    readonly subject: string;
    readonly all: readonly (string | undefined)[];
    readonly where: string;
  },
): readonly Issue[] {
  const named = (name: string, message: string) => ({ path: `variables.${name}`, message });
  const wanted = [...new Set(all.flatMap((text) => namesIn(text ?? "")))].toSorted();
  const missing = wanted.filter((name) => !Object.hasOwn(values, name));
  const odd = [...new Set(namesIn(subject))].filter((name) =>
    Object.hasOwn(values, name) && valueProblem(values[name] as string) !== undefined
  );
  return [
    ...missing.map((name) => named(name, "is missing")),
    ...odd.map((name) => named(name, `has a line break or a control character, and stands in ${where}`)),
  ];
}

/** What the mails of a bulk send share, with the content of its template; the names in it are each recipient's. */
export function batchOfTemplate(mail: Message, templates: readonly FakeTemplate[] | undefined): FakeMessage {
  if (mail.template === undefined || templates === undefined) return { ...mail, subject: mail.subject ?? "" };
  const { subject, text, html } = findTemplate(templates, mail.template);
  return { ...mail, subject, ...(text === undefined ? {} : { text }), ...(html === undefined ? {} : { html }) };
}

function findTemplate(templates: readonly FakeTemplate[], wanted: StoredTemplate | FilledTemplate): FakeTemplate {
  const named = templates.filter(({ name }) => name === wanted.name);
  if (named.length === 0) {
    refuseIssue("template.name", "is not a template of this app: mailchute template save stores one");
  }
  const language = chainOf(wanted.language).find((one) => named.some((template) => languageOf(template) === one));
  if (language === undefined) {
    const there = [...new Set(named.map(languageOf))].toSorted().join(", ");
    refuseIssue("template.language", `is not there, and no text without a language either: there are ${there}`);
  }
  const versions = named.filter((template) => languageOf(template) === language);
  const chosen = wanted.version === undefined ? versions.at(-1) : versions[wanted.version - 1];
  const where = language === "" ? "" : ` in ${language}`;
  return chosen ?? refuseIssue("template.version", `is not there${where}: the newest is ${versions.length}`);
}

function languageOf({ language = "" }: { readonly language?: string | undefined }): string {
  return languageKey(language);
}

/** The languages that serve who asks for one: de-AT, de, and none. */
function chainOf(language: string | undefined): readonly string[] {
  const parts = languageOf({ language }).split("-");
  const tags = parts.map((_, index) => parts.slice(0, parts.length - index).join("-"));
  return [...tags, ""];
}
