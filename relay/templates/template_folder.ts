import { languageKey } from "../../src/stored_template.ts";
// Templates as files, so that they lie beside the app's code: NAME/subject.txt, NAME/body.txt and NAME/body.html, and
// NAME/LANGUAGE/… for each language.

/** A template as files have it; what has no file is undefined. */
export interface FolderTemplate {
  readonly name: string;
  /** As the folder is called; empty: none. */
  readonly language: string;
  readonly subject: string | undefined;
  readonly text: string | undefined;
  readonly html: string | undefined;
}

/** A file, by its path in the folder. */
export interface FolderFile {
  readonly path: string;
  readonly text: string;
}

const FIELDS: Readonly<Record<string, "subject" | "text" | "html">> = {
  "subject.txt": "subject",
  "body.txt": "text",
  "body.html": "html",
};

/** Tells whether a path may be one of a template's: hidden files, and what lies beside the templates, is none. */
export function isTemplatePath(path: string): boolean {
  const parts = path.split("/");
  return parts.length > 1 && parts.every((part) => !part.startsWith("."));
}

/**
 * Reads the files of a folder of templates, and says which of them are none; the order is that of names and languages.
 */
export function readTemplateFolder(
  files: readonly FolderFile[],
): { readonly templates: readonly FolderTemplate[]; readonly faults: readonly string[] } {
  const found = new Map<string, FolderTemplate>();
  const folders = new Map<string, string>();
  const faults: string[] = [];
  for (const { path, text } of files.toSorted((one, other) => one.path < other.path ? -1 : 1)) {
    const parts = path.split("/");
    const field = FIELDS[parts.at(-1) ?? ""];
    const [name = "", language = ""] = parts.slice(0, -1);
    if (field === undefined || parts.length > 3) {
      faults.push(`${path} is none of NAME/subject.txt, NAME/body.txt, NAME/body.html and NAME/LANGUAGE/…`);
      continue;
    }
    // What is none becomes U+FFFD when it is read, and a mail would go out with it.
    if (/[\uFFFD\0]/.test(text)) {
      faults.push(`${path} is no text in UTF-8: save it as such`);
      continue;
    }
    const key = `${name}/${languageKey(language)}`;
    const folder = folders.get(key) ?? language;
    folders.set(key, folder);
    if (folder !== language) {
      faults.push(`${path} is of the same language as ${name}/${folder}: leave one of the two`);
      continue;
    }
    const known = found.get(key) ?? { name, language, subject: undefined, text: undefined, html: undefined };
    // Editors begin a file with a mark of its encoding, which a reader would see, and end it with a line break, while a
    // subject is one line.
    const content = text.replace(/^\uFEFF/, "");
    found.set(key, { ...known, [field]: field === "subject" ? content.replace(/\r?\n$/, "") : content });
  }
  return { templates: [...found.values()], faults };
}

/** The variables of one version of a template. */
export interface LanguageNames {
  readonly language: string;
  readonly names: readonly string[];
}

/**
 * Says which variables some languages of a template have, and others have not: a mail in those would lack what the app
 * gives, or refuse what it does not.
 */
export function nameDifferences(languages: readonly LanguageNames[]): readonly string[] {
  const all = [...new Set(languages.flatMap(({ names }) => names))].toSorted();
  return all.flatMap((name) => {
    const listed = (has: boolean) =>
      languages.filter(({ names }) => names.includes(name) === has).map(({ language }) => shownLanguage(language));
    const [there, missing] = [listed(true), listed(false)];
    return missing.length === 0 ? [] : [`{{${name}}} is in ${there.join(", ")}, and not in ${missing.join(", ")}`];
  });
}

/** A language for people. */
export function shownLanguage(language: string): string {
  return language === "" ? "(no language)" : language;
}
