import fc from "fast-check";
import { BREAKS, brokenLine, line } from "./text.ts";

// Addresses in all forms in which an app may write them, and those that are none.

const DOMAINS = [
  ...["example.com", "corp.example", "EXAMPLE.org", "x.example", "a-b.c--d.example", "bücher.example", "例え.テスト"],
  ...[
    "xn--bcher-kva.example",
    "[192.0.2.1]",
    "[IPv6:2001:db8::1]",
    "localhost",
    `${"d".repeat(63)}.example`,
    "faß.example",
  ],
] as const;
const QUOTED = ['"a b"', '".."', '"a,b;c"', '"(c)"', '"a..b"', '" "', '"x:[y]"', '"ann"'] as const;
const UTF8 = ["用户", "jörg", "δοκιμή", "ابن", "e\u0301", "👩", "क्\u200dष"] as const;

const ATOM = fc.string({
  unit: fc.constantFrom(..."abcXYZ019!#$%&'*+-/=?^_`{|}~"),
  minLength: 1,
  maxLength: 20,
});
const LOCAL = fc.oneof(
  { weight: 6, arbitrary: fc.array(ATOM, { minLength: 1, maxLength: 3 }).map((atoms) => atoms.join(".")) },
  { weight: 2, arbitrary: fc.constantFrom(...QUOTED) },
  { weight: 1, arbitrary: fc.constantFrom(...UTF8) },
  { weight: 1, arbitrary: fc.constant("l".repeat(64)) },
);
const LABEL = fc.string({ unit: fc.constantFrom(..."abz019_"), minLength: 1, maxLength: 63 });
const DOMAIN = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...DOMAINS) },
  {
    weight: 1,
    arbitrary: fc.array(LABEL, { minLength: 1, maxLength: 2 }).map((labels) => [...labels, "example"].join(".")),
  },
);

/** `local@domain`. */
export const email: fc.Arbitrary<string> = fc.tuple(LOCAL, DOMAIN).map((parts) => parts.join("@"));

/** An address as a string or an object. */
export const address: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 2, arbitrary: email },
  { weight: 2, arbitrary: fc.record({ email, name: line(998) }) },
  { weight: 1, arbitrary: fc.record({ email, name: fc.constant(undefined) }) },
  {
    weight: 2,
    arbitrary: fc.tuple(line(300), email).map(([name, at]) => `"${name.replace(/["\\]/g, "\\$&")}" <${at}>`),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(line(300), email).map(([name, at]) =>
      `${name.replace(/[()<>[\]:;@\\,"]/g, "") || "x"} <${at}>`
    ),
  },
  { weight: 1, arbitrary: email.map((at) => ` <${at}> `) },
);

/** One address, or a list of them. */
export const addresses: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 3, arbitrary: address },
  { weight: 3, arbitrary: fc.array(address, { minLength: 1, maxLength: 4 }) },
  { weight: 1, arbitrary: fc.array(email, { minLength: 1, maxLength: 130 }) },
);

/** What looks like an address, and is none or not one. */
export const brokenAddress: fc.Arbitrary<unknown> = fc.oneof(
  fc.tuple(line(), email).map((parts) => parts.join("")),
  fc.tuple(email, fc.constantFrom(", ", ";", ">", "<", " ", "@", "\u200b", "\u202e", ".", ...BREAKS), email)
    .map((parts) => parts.join("")),
  fc.tuple(brokenLine, email).map(([name, at]) => `"${name}" <${at}>`),
  fc.record({ email, name: brokenLine }),
  fc.record({ email: line(), name: line() }),
  fc.record({ email: fc.anything({ withNullPrototype: true }), name: fc.anything({ withNullPrototype: true }) }),
  fc.tuple(LOCAL, line(80)).map((parts) => parts.join("@")),
  fc.tuple(line(80), DOMAIN).map((parts) => parts.join("@")),
  fc.constantFrom(
    ...[
      "a..b@x.example",
      "a@b@c.example",
      "@x.example",
      "a@",
      "a@x.",
      "a@-x.example",
      "a@1.2.3.4",
      "a@0x7f",
      "a@[300.1.1.1]",
    ],
    ...[
      '"a\\.b"@x.example',
      '"x@gmail.com y"@corp.example',
      "a@[IPv6:zz]",
      "a@[ipv6:::1]",
      "grp: a@b.example;",
      "<@a:b@c>",
    ],
    ...[
      "a@１２７.０.０.１",
      "a@x。example",
      "a@ex\u00adample.com",
      "a\u2028b@x.example",
      `${"l".repeat(65)}@x.example`,
      "a@xn--a",
    ],
    ...[`a@${"d".repeat(64)}.example`, `a@${"d.".repeat(130)}example`, "", " ", "<>", "a@b.example\u00a0"],
  ),
);

/** A list with such addresses, or with holes. */
export const brokenAddresses: fc.Arbitrary<unknown> = fc.oneof(
  brokenAddress,
  fc.array(fc.oneof(address, brokenAddress), { maxLength: 4 }),
  fc.sparseArray(address, { maxLength: 4 }),
  fc.array(fc.anything(), { maxLength: 3 }),
  fc.constant(Array.from({ length: 501 }, (_, index) => `u${index}@x.example`)),
);
