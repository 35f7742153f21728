import fc from "fast-check";
import { address, brokenAddress } from "./addresses.ts";
import { BARE, BROKEN, HEADER_NAME, ODD, OPTIONAL } from "./fields.ts";
import { some } from "./message_draft.ts";
import { body, BREAKS, brokenLine, line, word } from "./text.ts";

type Fields = Readonly<Record<string, unknown>>;

/** How an app hands over its list. */
const LISTS = ["array", "generator", "async generator", "set"] as const;

/** What an app hands to `sendMany`. */
export interface BulkDraft {
  readonly template: Fields;
  readonly recipients: readonly unknown[];
  readonly list: typeof LISTS[number];
  /** Whether the docs allow all of it. */
  readonly isValid: boolean;
}

/** Those in a header hold one line, those of texts anything. */
const LINE_NAMES = ["first", "_x1", "constructor"] as const;
const TEXT_NAMES = [...LINE_NAMES, "b_2", "__proto__", "toString"] as const;
const LINK_NAME = "token";

const VALUE = fc.oneof(
  line(300),
  fc.double({ noDefaultInfinity: true, noNaN: true }),
  fc.integer(),
  fc.constant("<b>&\"'"),
);
const VALUES = fc.record({
  first: VALUE,
  _x1: VALUE,
  constructor: VALUE,
  b_2: fc.oneof(VALUE, body, fc.constant("{{first}} $& {{{")),
  toString: fc.oneof(VALUE, body),
  token: fc.oneof(word(40), fc.integer()),
  proto: VALUE,
  unused: VALUE,
}).map(({ proto, ...values }) => Object.fromEntries([...Object.entries(values), ["__proto__", proto]]));

/** A text with names in it, and no other `{{`. */
function template(text: fc.Arbitrary<string>, names: readonly string[]): fc.Arbitrary<string> {
  const name = fc.tuple(fc.constantFrom(...names), fc.constantFrom("", " ", "  "))
    .map(([found, blank]) => `{{${blank}${found}${blank}}}`);
  const literal = text.map((found) => found.replace(/\{\{+/g, "{").replace(/\{$/, ""));
  return fc.array(fc.oneof({ weight: 2, arbitrary: literal }, { weight: 1, arbitrary: name }), { maxLength: 5 })
    .map((parts) => parts.join(""));
}

const SUBJECT = template(line(200), LINE_NAMES);
const TEXT = template(body, TEXT_NAMES);
const BODIES = { text: TEXT, html: fc.oneof(TEXT, TEXT.map((html) => Promise.resolve(html))) };
const { headers: _, unsubscribe: __, ...REST } = OPTIONAL;
const MORE = {
  ...REST,
  headers: fc.dictionary(HEADER_NAME.filter((name) => !name.includes("{{")), template(line(60), LINE_NAMES), {
    maxKeys: 3,
  }),
  unsubscribe: fc.constantFrom(`https://x.example/u?t={{${LINK_NAME}}}`, "mailto:leave@x.example?subject={{token}}"),
};

const GOOD_TEMPLATE: fc.Arbitrary<Fields> = fc.tuple(
  fc.record({ subject: SUBJECT }),
  some(BODIES, Object.keys(BODIES), 1),
  some(MORE, Object.keys(MORE), 0, 5),
).map((parts) => Object.assign({}, ...parts));

const RECIPIENT = fc.record({ to: address, variables: VALUES });

const BAD_TEXTS = [
  ...[
    "{{x y}}",
    "{{{first}}}",
    "{{",
    "{{#if first}}",
    "{{\u00a0first}}",
    "{{first\u2028}}",
    "{{ä}}",
    "{{first|upper}}",
    "{{{{first}}}}",
  ],
  ...[
    "{{\tfirst}}",
    "{{\nfirst}}",
    "{{\vfirst\f}}",
    "{{\ufefffirst}}",
    "{{first}",
    "{{missing}}",
    "{{First}}",
    "{ {first}}",
  ],
] as const;
const BAD_TEXT = fc.constantFrom(...BAD_TEXTS);

const BAD_TEMPLATE: fc.Arbitrary<Fields> = fc.oneof(
  some(BROKEN, Object.keys(BROKEN), 1, 2),
  some({ subject: BAD_TEXT, text: BAD_TEXT, html: BAD_TEXT }, ["subject", "text", "html"], 1),
  BAD_TEXT.map((text) => ({ headers: { "X-A": text } })),
  fc.constantFrom<Fields>(
    ...[{ headers: { "X-{{first}}": "x" } }, { headers: [["X-A", "a{{"], ["X-B", "}}"]] }, {
      headers: { Sender: "{{first}}@x.example" },
    }],
    ...[{ unsubscribe: "https://x.example/{{b_2}}" }, { unsubscribe: "https://{{first}}.example/" }, {
      unsubscribe: "{{first}}",
    }],
    ...[{ from: "{{first}}@x.example" }, { replyTo: "{{first}} <a@x.example>" }, { tags: ["{{first}}"] }, {
      subject: "{{b_2}}",
    }],
  ),
);

const BAD_VALUE = fc.oneof(
  ODD,
  brokenLine,
  fc.constantFrom<unknown>(
    ...BREAKS,
    Number.NaN,
    Infinity,
    null,
    undefined,
    BARE,
    Symbol("s"),
    7n,
    "v".repeat(70_000),
    "日".repeat(300),
  ),
);
const BAD_RECIPIENT: fc.Arbitrary<unknown> = fc.oneof(
  ODD,
  fc.record({ to: fc.oneof(brokenAddress, ODD), variables: VALUES }),
  fc.record({ to: address, variables: ODD }),
  fc.tuple(RECIPIENT, fc.constantFrom(...TEXT_NAMES, LINK_NAME), BAD_VALUE)
    .map(([good, name, value]) => ({
      ...good,
      variables: Object.fromEntries([...Object.entries(good.variables), [name, value]]),
    })),
  fc.tuple(RECIPIENT, fc.oneof(ODD, brokenLine, fc.constantFrom("", "k".repeat(257)))).map(([good, key]) => ({
    ...good,
    key,
  })),
  fc.tuple(RECIPIENT, fc.constantFrom("cc", "name", "a\r\nb", "__proto__x")).map(([good, name]) => ({
    ...good,
    [name]: "x",
  })),
  fc.record({ to: address }),
);

/** A bulk send as an app may write it: mostly good, some with a fault in the template or in one recipient. */
export const bulkDraft: fc.Arbitrary<BulkDraft> = fc.record({
  template: GOOD_TEMPLATE,
  recipients: fc.array(RECIPIENT, { minLength: 1, maxLength: 4 }),
  bad: fc.oneof(
    { weight: 6, arbitrary: fc.record({}) },
    { weight: 2, arbitrary: fc.record({ badTemplate: BAD_TEMPLATE }) },
    { weight: 2, arbitrary: fc.record({ badRecipient: BAD_RECIPIENT }) },
  ),
  list: fc.constantFrom(...LISTS),
}).map(({ template, recipients, bad, list }): BulkDraft => ({
  template: "badTemplate" in bad ? { ...template, ...bad.badTemplate } : template,
  // The same address twice needs a key.
  recipients: [
    ...recipients.map((one, index) => ({ ...one, key: `k${index}` })),
    ...("badRecipient" in bad ? [bad.badRecipient] : []),
  ],
  list,
  isValid: Object.keys(bad).length === 0,
}));

/** The list as the app hands it over. */
export function listed({ recipients, list }: Pick<BulkDraft, "recipients" | "list">): unknown {
  if (list === "array") return [...recipients];
  if (list === "set") return new Set(recipients);
  return list === "generator" ? recipients.values() : inTurn(recipients);
}

async function* inTurn(recipients: readonly unknown[]): AsyncGenerator<unknown> {
  for (const recipient of recipients) yield await Promise.resolve(recipient);
}
