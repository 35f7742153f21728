import { NEEDED, OPTIONAL } from "./fields.ts";

const FIELDS: ReadonlySet<string> = new Set(["subject", ...Object.keys(NEEDED), ...Object.keys(OPTIONAL)]);
const ATTACHMENT_FIELDS: ReadonlySet<string> = new Set(["filename", "content", "contentType", "contentId", "encoding"]);

/** Tells whether the path of an issue leads to a place in a mail: one that is there, or a field that is missing. */
export function leadsIntoMail(path: string, input: object): boolean {
  const own = Object.keys(input).map(shown);
  if (own.includes(path) || FIELDS.has(path)) return true;
  const [field = "", ...rest] = path.split(".");
  const value: unknown = Reflect.get(input, field);
  if (!FIELDS.has(field) || value === undefined) return false;
  const [index, ...inner] = rest;
  if (field === "headers") return namesOf(value).includes(rest.join("."));
  if (field === "metadata") return Object.keys(Object(value)).map(shown).includes(rest.join("."));
  if (!Array.isArray(value) || !/^\d+$/.test(index ?? "") || Number(index) >= value.length) return false;
  if (field !== "attachments") return inner.length === 0;
  const item: unknown = value[Number(index)];
  const keys = Object.keys(Object(item)).map(shown);
  return inner.length === 0 || ATTACHMENT_FIELDS.has(inner.join(".")) || keys.includes(inner.join("."));
}

/** How a name from outside stands in a path; one that is no text has none there. */
function shown(name: unknown): string {
  const isText = Object(name) !== name || typeof Object(name).toString === "function";
  return (isText ? String(name) : "").slice(0, 76).replace(/[\p{C}\s]/gu, "?");
}

function namesOf(value: unknown): readonly string[] {
  const isList = typeof value === "object" && value !== null && Symbol.iterator in value;
  const names: readonly unknown[] = isList
    ? Array.from(value as Iterable<unknown>, (pair) => Object(pair)[0])
    : Object.keys(Object(value));
  return names.map(shown);
}
