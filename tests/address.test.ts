import { expect, test } from "bun:test";
import {
  type Address,
  domainOf,
  formatMailbox,
  type Mailbox,
  mailboxOf,
  normalizeAddress,
  parseAddress,
  sameAddress,
} from "../src/address.ts";
import { MailchuteError } from "../src/error.ts";

function accepted(input: Address): Mailbox {
  const result = parseAddress(input);
  if (!result.ok) throw new Error(`refused: ${result.reason}`);
  return result.mailbox;
}

function refusal(input: Address): string {
  const result = parseAddress(input);
  if (result.ok) throw new Error(`accepted: ${JSON.stringify(result.mailbox)}`);
  return result.reason;
}

const accepts: readonly (readonly [input: Address, mailbox: Mailbox])[] = [
  ["ann@example.com", { email: "ann@example.com" }],
  ["  ann@example.com ", { email: "ann@example.com" }],
  ["<ann@example.com>", { email: "ann@example.com" }],
  ["Ann <ann@example.com>", { email: "ann@example.com", name: "Ann" }],
  ["Dr. Ann O'Neill<ann@example.com>", { email: "ann@example.com", name: "Dr. Ann O'Neill" }],
  ['"Doe, Jane" <jane@example.com>', { email: "jane@example.com", name: "Doe, Jane" }],
  ['"a \\"b\\" \\\\ c" <a@b>', { email: "a@b", name: 'a "b" \\ c' }],
  ['"a@b <c@d>" <e@f>', { email: "e@f", name: "a@b <c@d>" }],
  ["Jörg 🚀 <j@example.com>", { email: "j@example.com", name: "Jörg 🚀" }],
  ["=?utf-8?Q?x?= <a@b>", { email: "a@b", name: "=?utf-8?Q?x?=" }],
  [{ email: "a@b" }, { email: "a@b" }],
  [{ email: "a@b", name: undefined }, { email: "a@b" }],
  [{ email: "a@b", name: " " }, { email: "a@b" }],
  [{ email: "a@b", name: "Doe, Jane" }, { email: "a@b", name: "Doe, Jane" }],
  [{ email: "a@b", name: "half \ud83d pair" }, { email: "a@b", name: "half \ufffd pair" }],
  ["ops@localhost", { email: "ops@localhost" }],
  ["user@intranet", { email: "user@intranet" }],
  ["o'brien@corp.example", { email: "o'brien@corp.example" }],
  ["ann+news@Example.COM", { email: "ann+news@Example.COM" }],
  ["a!b%c/d=e?f^g_h`i{j|k}l~m-n#o$p&q*r@x.example", { email: "a!b%c/d=e?f^g_h`i{j|k}l~m-n#o$p&q*r@x.example" }],
  ['"a..b"@docomo.example', { email: '"a..b"@docomo.example' }],
  ['"john doe"@x.example', { email: '"john doe"@x.example' }],
  ['"ann"@x.example', { email: "ann@x.example" }],
  ['"a\\.b"@x.example', { email: "a.b@x.example" }],
  ["ops@[10.0.0.1]", { email: "ops@[10.0.0.1]" }],
  ["ops@[IPv6:2001:DB8::0:1]", { email: "ops@[IPv6:2001:db8::1]" }],
  ["ops@[ipv6:::1]", { email: "ops@[IPv6:::1]" }],
  ["用户@例子.example", { email: "用户@xn--fsqu00a.example" }],
  ["ann@MÜNCHEN.example", { email: "ann@xn--mnchen-3ya.example" }],
  ["ann@XN--MNCHEN-3YA.example", { email: "ann@XN--MNCHEN-3YA.example" }],
  ["ann@a_b.example", { email: "ann@a_b.example" }],
  ["ann@1and1.2go", { email: "ann@1and1.2go" }],
];

for (const [input, mailbox] of accepts) {
  test(`parseAddress() reads ${JSON.stringify(input)}`, () => expect(accepted(input)).toEqual(mailbox));
}

const refuses: readonly (readonly [name: string, input: unknown, reason: RegExp])[] = [
  ["an empty string", "", /no @/],
  ["a name alone", "Ann", /no @/],
  ["a missing local part", "@example.com", /before its @/],
  ["an empty quoted local part", '""@example.com', /exactly one/],
  ["a missing domain", "ann@", /domain/],
  ["an empty label", "ann@a..b", /domain/],
  ["a trailing dot", "ann@example.com.", /domain/],
  ["a leading dot in the domain", "ann@.example.com", /domain/],
  ["a label that starts with a hyphen", "ann@-a.example", /domain/],
  ["a label that ends with a hyphen", "ann@a-.example", /domain/],
  ["two dots in the local part", "a..b@x.example", /quotes/],
  ["a dot at the local part's end", "a.@x.example", /quotes/],
  ["a bare blank", "ann doe@x.example", /blank/],
  ["a blank in the domain", "ann@x .example", /domain/],
  ["a blank before the @", "ann @x.example", /blank/],
  ["angle brackets in the local part", "a<b>c@x.example", /exactly one/],
  ["two addresses", "a@b, c@d", /more than one address: give a list as an array/],
  ["two mailboxes", "Ann <a@b>, Bob <c@d>", /give a list as an array/],
  ["two mailboxes with quoted names", '"Lee, Ann" <a@b>; "Lee, Bob" <c@d>', /give a list as an array/],
  ["a list longer than an address", Array(99).fill("a@b.example").join(", "), /give a list as an array/],
  ["a list as an object's address", { email: "a@b,c@d" }, /give a list as an array/],
  ["an unquoted comma in a name", "Doe, Jane <jane@example.com>", /double quotes/],
  ["a group", "friends: a@b, c@d;", /give a list as an array/],
  ["a comment", "ann@example.com (Ann)", /domain/],
  ["a comment in front", "(Ann) ann@example.com", /blank/],
  ["a source route", "<@relay.example:ann@example.com>", /exactly one/],
  ["text behind the address", "Ann <a@b> x", /blank|exactly one/],
  ["two angle brackets", "Ann <<a@b>>", /exactly one|domain|double quotes/],
  ["a lone closing bracket", "a@b>", /exactly one/],
  ["a name half in quotes", '"Ann" B <a@b>', /double quotes/],
  ["an open quote", '"Ann <a@b>', /double quotes/],
  ["a CR", "a\r@b", /control/],
  ["an LF", "a@b\n", /control/],
  ["a NUL", "a\0@b", /control/],
  ["a DEL", "a\x7f@b", /control/],
  ["a tab", "a@\tb", /control/],
  ["a C1 control", "a\x85@b", /control/],
  ["an unpaired surrogate", { email: "a\ud800@b" }, /control/],
  ["an unpaired surrogate in the domain", { email: "a@b\ud800" }, /domain/],
  ["a zero-width space", "ann\u200b@example.com", /invisible/],
  ["a zero-width space at the domain's end", "ann@example.com\u200b", /domain/],
  ["a text direction override", "\u202eann@example.com", /invisible/],
  ["a no-break space", "ann\u00a0b@example.com", /blank/],
  ["a name with a line break", { email: "a@b", name: "Ann\r\nBcc: x@y" }, /name holds/],
  ["a name with a NUL", { email: "a@b", name: "A\0" }, /name holds/],
  ["a name that is no string", { email: "a@b", name: 7 }, /name is not a string/],
  ["an object's email with brackets", { email: "Ann <a@b>" }, /domain|blank/],
  ["an object without email", {}, /neither/],
  ["undefined", undefined, /neither/],
  ["null", null, /neither/],
  ["a number", 7, /neither/],
  ["an array", ["a@b"], /neither/],
  ["a bare IPv4 address", "ann@10.0.0.1", /brackets/],
  ["a number as domain", "ann@1", /brackets/],
  ["a hexadecimal number as domain", "ann@0x7f", /brackets/],
  ["full-width digits as domain", "ann@１２７.１", /domain/],
  ["a literal above 255", "ann@[10.0.0.256]", /domain/],
  ["a short literal", "ann@[10.0.1]", /domain/],
  ["a broken IPv6 literal", "ann@[IPv6:1::2::3]", /domain/],
  ["an IPv6 literal without its tag", "ann@[::1]", /domain/],
  ["a literal with text inside", "ann@[x]", /domain/],
  ["a percent in the domain", "ann@a%41.example", /domain/],
  ["a port", "ann@x.example:25", /domain/],
  ["a path", "ann@x.example/a", /domain/],
  ["a percent in an IDN domain", "ann@ü%2e.example", /domain/],
  ["a character that maps to a slash", "ann@℀.example", /domain/],
  ["an A-label that decodes to nothing", "ann@xn--a.example", /domain/],
];

for (const [name, input, reason] of refuses) {
  // The gate is also for callers without a compiler: any value may come.
  test(`parseAddress() refuses ${name}`, () => expect(refusal(input as Address)).toMatch(reason));
}

test('CVE-2025-13033: "xclow3n@gmail.com x"@internal.domain is refused, not sent to gmail.com', () => {
  expect(refusal('"xclow3n@gmail.com x"@internal.domain')).toMatch(/quoted part holds/);
  expect(refusal({ email: '"xclow3n@gmail.com x"@internal.domain' })).toMatch(/quoted part holds/);
  expect(refusal('"x\\@gmail.com"@internal.domain')).toMatch(/quoted part holds/);
  expect(refusal('"<a@evil.example>"@internal.domain')).toMatch(/quoted part holds/);
});

test("nodemailer 9.0.4 to 10.1.4: no comment, bracket or group hides a second mailbox", () => {
  for (
    const input of [
      "a@b.example (x) , evil@x.example",
      "(a@b.example) evil@x.example",
      "a@b.example (<evil@x.example>)",
      "Ann (<evil@x.example>) <a@b.example>",
      "[ <evil@x.example>, a@b.example",
      "a[, evil@x.example",
      "friends: a@b.example, evil@x.example;",
      "<@evil.example:a@b.example>",
      "a@b.example <evil@x.example>, c@d.example",
    ]
  ) {
    expect([input, parseAddress(input).ok]).toEqual([input, false]);
  }
});

test("CVE-2025-14874: deeply nested groups are refused at once", () => {
  const started = performance.now();
  expect(refusal("g:".repeat(500) + "a@b" + ";".repeat(500))).toBeString();
  expect(refusal("g:".repeat(1_000_000))).toMatch(/too long/);
  expect(performance.now() - started).toBeLessThan(200);
});

test("CVE-2026-30227: a quoted local part with CRLF cannot add a recipient", () => {
  expect(refusal('"a\r\nRCPT TO:<e@x>"@y')).toMatch(/control/);
  expect(refusal({ email: '"a\r\nRCPT TO:<e@x>"@y' })).toMatch(/control/);
  expect(refusal({ email: '"a\\\r\\\nb"@y' })).toMatch(/control/);
});

test("SMTP command injection: an address that closes its bracket is refused", () => {
  expect(refusal("b@x>\r\nRCPT TO:<evil@y")).toMatch(/control/);
  expect(refusal({ email: "b@x> SIZE=1 <c@d" })).toBeString();
  expect(refusal({ email: "b@x>NOTIFY=NEVER" })).toMatch(/domain/);
});

test("GHSA-v3q9-hj7j-63hq: every control character is refused, in local part, domain and name", () => {
  for (let code = 0; code < 0x20; code++) refusedEverywhere(String.fromCharCode(code));
  refusedEverywhere("\x7f");
});

function refusedEverywhere(control: string): void {
  expect(parseAddress({ email: `a${control}b@c` }).ok).toBeFalse();
  expect(parseAddress({ email: `"a${control}b"@c` }).ok).toBeFalse();
  expect(parseAddress({ email: `a@b${control}c` }).ok).toBeFalse();
  expect(parseAddress({ email: "a@b", name: `A${control}` }).ok).toBeFalse();
  expect(parseAddress(`A${control} <a@b>`).ok).toBeFalse();
}

test("parseAddress() takes a local part of 64 octets and refuses 65", () => {
  expect(accepted(`${"a".repeat(64)}@x.example`).email).toHaveLength(74);
  expect(refusal(`${"a".repeat(65)}@x.example`)).toMatch(/64 octets/);
  expect(accepted(`${"ü".repeat(32)}@x.example`).email).toHaveLength(42);
  expect(refusal(`${"ü".repeat(32)}a@x.example`)).toMatch(/64 octets/);
});

test("parseAddress() takes a label of 63 octets and refuses 64", () => {
  expect(accepted(`a@${"b".repeat(63)}.example`).email).toHaveLength(73);
  expect(refusal(`a@${"b".repeat(64)}.example`)).toMatch(/domain/);
});

test("parseAddress() takes 254 octets in all and refuses 255, counted in the form for the wire", () => {
  const domain = `${"b".repeat(63)}.${"c".repeat(63)}.${"d".repeat(63)}`;
  expect(accepted(`${"a".repeat(62)}@${domain}`).email).toHaveLength(254);
  expect(refusal(`${"a".repeat(63)}@${domain}`)).toMatch(/254 octets/);
  const idn = `${"b".repeat(63)}.${"c".repeat(63)}.${"ü".repeat(40)}`;
  expect(accepted(`a@${idn}`).email.length).toBeLessThanOrEqual(254);
  expect(refusal(`${"ü".repeat(32)}@${"b".repeat(63)}.${"c".repeat(63)}.${"d".repeat(62)}`)).toMatch(/254 octets/);
});

test("parseAddress() takes a name of 998 characters and refuses 999", () => {
  expect(accepted({ email: "a@b", name: "x".repeat(998) }).name).toHaveLength(998);
  expect(refusal({ email: "a@b", name: "x".repeat(999) })).toMatch(/998/);
});

test("parseAddress() takes linear time on hostile input", () => {
  const hostile = ['"\\', "a.", "<", '"', '\\"', "@", "a@", "-", "[", "ü.", "xn--", " ", "("];
  const started = performance.now();
  for (const piece of hostile) {
    const long = piece.repeat(200_000);
    expect(parseAddress(long).ok).toBeFalse();
    expect(parseAddress({ email: `a@${long}` }).ok).toBeFalse();
    expect(parseAddress(`${long}<a@b>`).ok).toBe(piece === " ");
    expect(normalizeAddress(long)).toBeString();
  }
  // More than linear in URL alone: tens of seconds for such a name.
  expect(normalizeAddress(`a@${"ü.".repeat(1_000_000)}`)).toBeString();
  expect(performance.now() - started).toBeLessThan(2_000);
});

test("parseAddress() answers at every cut of a valid address, and only with addresses that it takes again", () => {
  for (const [input] of accepts) {
    const text = typeof input === "string" ? input : input.email;
    for (let end = 0; end <= text.length; end++) {
      const result = parseAddress(text.slice(0, end));
      if (result.ok) expect(parseAddress(result.mailbox)).toEqual(result);
    }
  }
});

test("formatMailbox() writes what parseAddress() reads back", () => {
  const names = ["Ann", "Doe, Jane", 'a "b" \\ c', " padded ", "x <y@z>", "日本 語", "a@b", "()<>[]:;", "\\"];
  for (const name of names) {
    const mailbox: Mailbox = { email: '"a b"@x.example', name };
    expect(accepted(formatMailbox(mailbox))).toEqual(mailbox);
  }
  expect(formatMailbox({ email: "a@b" })).toBe("a@b");
  expect(formatMailbox({ email: "a@b", name: "Dr. Ann" })).toBe("Dr. Ann <a@b>");
});

test("domainOf() answers in lower case and ASCII", () => {
  expect(domainOf("ann@Example.COM")).toBe("example.com");
  expect(domainOf("ann@straße.example")).toBe("xn--strae-oqa.example");
  expect(domainOf("ann@[IPv6:2001:DB8::1]")).toBe("[IPv6:2001:db8::1]");
  expect(domainOf('"a..b"@X')).toBe("x");
});

test("normalizeAddress() folds the domain and keeps the local part", () => {
  expect(normalizeAddress("Ann.Doe@EXAMPLE.com")).toBe("Ann.Doe@example.com");
  expect(normalizeAddress("Ann@MÜNCHEN.example")).toBe("Ann@xn--mnchen-3ya.example");
  expect(normalizeAddress("Ann@XN--MNCHEN-3YA.example")).toBe("Ann@xn--mnchen-3ya.example");
  expect(normalizeAddress('"Ann"@x')).toBe("Ann@x");
});

test("normalizeAddress() answers for what is no address too, so that a stored one never stops the relay", () => {
  expect(normalizeAddress("")).toBe("");
  expect(normalizeAddress("Not An@ADDRESS x")).toBe("Not An@address x");
});

test("sameAddress() compares domains as DNS does and local parts as they are", () => {
  expect(sameAddress("ann@münchen.example", "ann@xn--mnchen-3ya.EXAMPLE")).toBeTrue();
  expect(sameAddress("Ann@x", "ann@x")).toBeFalse();
});

test("mailboxOf() throws a validation_error that names the field and not the address", () => {
  const error = thrown(() => mailboxOf("secret@@corp", "to.3"));
  expect(error).toBeInstanceOf(MailchuteError);
  expect(error.code).toBe("validation_error");
  expect(error.message).toMatch(/^Cannot use the address in to\.3: /);
  expect(error.message).not.toContain("secret");
  expect(error.issues.map((issue) => issue.path)).toEqual(["to.3"]);
  expect(mailboxOf("a@b", "from")).toEqual({ email: "a@b" });
});

function thrown(action: () => unknown): MailchuteError {
  try {
    action();
  } catch (error) {
    if (error instanceof MailchuteError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

test("an email that is an object without a way to be a text is refused, and does not throw", () => {
  const email = Object.create(null);
  expect(parseAddress({ email })).toEqual({ ok: false, reason: "it is neither a string nor { email, name }" });
});
