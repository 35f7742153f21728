import { formatDuration, parseDuration } from "../time/duration.ts";
import { Secret } from "./secret.ts";

/** What values a setting takes: the words for people and the function that reads one. */
export interface Kind<Value> {
  /** Completes "must be …" in errors and fills the "Value" column of the docs. */
  readonly form: string;
  /** Returns the value, or a `Wrong` that says what is wrong with the text. */
  readonly parse: (text: string) => Value | Wrong;
  readonly secret?: true;
}

/** Why a text is no value of its kind; `fix` replaces "it must be <form>" where a better advice is known. */
export class Wrong {
  readonly because: string;
  readonly fix: string | undefined;

  constructor(because: string, fix?: string) {
    this.because = because;
    this.fix = fix;
  }
}

/** Any text. */
export function text(form: string): Kind<string> {
  return { form, parse: (value) => value };
}

const CONTROL = /[\0-\x1f\x7f]/;
const LINE_END =
  "take it out: an editor, or a file with the line ends of Windows (docker run --env-file), may have put it there";

/** A text of one line. Rules may stand on several. */
export function line(form: string): Kind<string> {
  return { form, parse: (value) => hasControl(value) ?? value };
}

/** What is wrong with a text that has more than one line, or what no keyboard types. */
export function hasControl(value: string): Wrong | undefined {
  if (!CONTROL.test(value)) return undefined;
  return new Wrong("it has a line break or another control character in it", LINE_END);
}

/** A name of ASCII letters, digits, dots, hyphens and underscores. */
export function word(form: string, mostCharacters: number): Kind<string> {
  return {
    form,
    parse: (value) => {
      if (value.length > mostCharacters) return new Wrong(`it has more than ${mostCharacters} characters`);
      return /^[\w.-]+$/.test(value)
        ? value
        : new Wrong("it has other characters than letters, digits, dots, hyphens and underscores");
    },
  };
}

/** Any text that must not be shown. Values stay text: a password of `0123456` or `true` is just that. */
export function secret(form: string): Kind<Secret> {
  return { form, parse: (value) => new Secret(value), secret: true };
}

/**
 * A secret that somebody types: one with the end of a line in it would open nothing. URLs lose theirs when they are
 * read.
 */
export function password(form: string): Kind<Secret> {
  return { form, parse: (value) => hasControl(value) ?? new Secret(value), secret: true };
}

/** What HTTP carries behind `Bearer` (RFC 6750 section 2.1). */
export function token(form: string): Kind<Secret> {
  return {
    form,
    parse: (value) =>
      hasControl(value) ??
        (/^[!-~]+$/.test(value) ? new Secret(value) : new Wrong("it has blanks, or characters that are not ASCII")),
    secret: true,
  };
}

/** A whole number of a range, both ends included. */
export function integer(min: number, max: number): Kind<number> {
  return {
    form: `a whole number from ${min} to ${max}`,
    parse: (value) => {
      if (!/^-?\d{1,15}$/.test(value)) return new Wrong("it is no whole number");
      const number = Number(value);
      if (number < min) return new Wrong(`it is below ${min}`);
      if (number > max) return new Wrong(`it is above ${max}`);
      return number;
    },
  };
}

/** A length of time of a range, both ends included, in milliseconds. */
export function duration(min: string, max: string): Kind<number> {
  const minMs = knownDuration(min);
  const maxMs = knownDuration(max);
  return {
    form: `a duration from ${min} to ${max} with its unit (ms, s, m, h or d)`,
    parse: (value) => {
      if (/^\d+(\.\d+)?$/.test(value)) {
        return new Wrong("a bare number has no unit", `write ${value}s, ${value}m or another of ms, s, m, h, d`);
      }
      const ms = parseDuration(value);
      if (ms === undefined) return new Wrong("it is no duration such as 500ms, 90s, 2m, 12h or 30d");
      if (ms < minMs) return new Wrong(`it is shorter than ${formatDuration(minMs)}`);
      if (ms > maxMs) return new Wrong(`it is longer than ${formatDuration(maxMs)}`);
      return ms;
    },
  };
}

/** A part of a hundred, such as `5%`; 0.05 then. */
export function percent(): Kind<number> {
  return {
    form: "a percentage from 0.1% to 100%",
    parse: (value) => {
      const [, number] = /^(\d{1,3}(?:\.\d{1,2})?)%$/.exec(value) ?? [];
      if (number === undefined) return new Wrong("it is no percentage", "write it as 5%");
      if (Number(number) < 0.1) return new Wrong("it is below 0.1%");
      return Number(number) > 100 ? new Wrong("it is above 100%") : Number(number) / 100;
    },
  };
}

/** One word of a closed list. */
export function choice<const Word extends string>(words: readonly Word[]): Kind<Word> {
  const form = words.length > 1 ? `${words.slice(0, -1).join(", ")} or ${words.at(-1)}` : words.join("");
  return {
    form,
    parse: (value) => words.find((word) => word === value) ?? new Wrong("there is no such choice"),
  };
}

const LEVELS = choice(["debug", "info", "warn", "error"]);

/** How much is logged. Python's names are understood: `INFO` is what django-email-relay's image has. */
export const logLevel: Kind<"debug" | "info" | "warn" | "error"> = {
  form: LEVELS.form,
  parse: (value) => LEVELS.parse(value.toLowerCase().replace("warning", "warn").replace("critical", "error")),
};

/** The word `none`, or a value of another kind. */
export function orNone<Value>(kind: Kind<Value>): Kind<Value | undefined> {
  return { form: `none, or ${kind.form}`, parse: (value) => value === "none" ? undefined : kind.parse(value) };
}

function knownDuration(written: string): number {
  const ms = parseDuration(written);
  if (ms === undefined) throw new TypeError(`Cannot make a range: ${written} is no duration`);
  return ms;
}
