import { expect, test } from "bun:test";
import { addressHeader } from "../../src/mime/address_list.ts";

function to(name: string | undefined, email = "a@b"): string {
  return addressHeader("To", [name === undefined ? { email } : { email, name }]).slice("To: ".length, -2);
}

test("addressHeader() writes atoms as they are and quotes the rest", () => {
  expect(to(undefined)).toBe("a@b");
  expect(to("Ann Doe")).toBe("Ann Doe <a@b>");
  expect(to("O'Neill-Smith")).toBe("O'Neill-Smith <a@b>");
  expect(to("Doe, Jane")).toBe('"Doe, Jane" <a@b>');
  expect(to("Dr. Ann")).toBe('"Dr. Ann" <a@b>');
  expect(to('a "b" \\ c')).toBe('"a \\"b\\" \\\\ c" <a@b>');
});

test("an IPv6 address stands in brackets, whose colon readers take for the end of a group's name", () => {
  expect(to(undefined, "a@[IPv6:2001:db8::1]")).toBe("<a@[IPv6:2001:db8::1]>");
  expect(to(undefined, "a@[192.0.2.1]")).toBe("<a@[192.0.2.1]>");
});

test("worker-mailer F4: a display name cannot forge another address", () => {
  expect(to('A" <real@bank.example>, "x')).toBe('"A\\" <real@bank.example>, \\"x" <a@b>');
});

test("worker-mailer F25: an encoded-word never stands between quotes", () => {
  expect(to("Jörg, Müller")).toBe("=?UTF-8?Q?J=C3=B6rg=2C_M=C3=BCller?= <a@b>");
  expect(to('"=?utf-8?Q?x?="')).not.toContain('"');
});

test("addressHeader() encodes blanks that a reader would drop or join", () => {
  for (const name of [" Ann", "Ann ", "A  B"]) expect(to(name)).toMatch(/^=\?UTF-8\?Q\?[^ ]+\?= <a@b>$/);
});

test("addressHeader() quotes a word of 70 and encodes one of 71", () => {
  expect(to(`${"x".repeat(69)}.`)).toBe(`"${"x".repeat(69)}."\r\n <a@b>`);
  expect(to(`${"x".repeat(70)}.`)).toStartWith("=?UTF-8?Q?xxx");
});

test("addressHeader() folds 500 recipients into lines of 78 with no comma lost", () => {
  const mailboxes = Array.from(
    { length: 500 },
    (_, i) => ({ email: `user${i}@example.com`, name: i % 2 ? `Ü ${i}` : `U, ${i}` }),
  );
  const header = addressHeader("Cc", mailboxes);
  for (const line of header.split("\r\n")) expect(line.length).toBeLessThanOrEqual(78);
  expect(header.match(/,(?= |\r\n )/g)?.length).toBe(499 + 250);
  for (const { email } of mailboxes) expect(header).toContain(`<${email}>`);
});

test("addressHeader() puts a name that fits one encoded-word on a line of its own and does not halve it", () => {
  const mailboxes = [{ email: "somebody.with.a.long.name@mail.example.com" }, {
    email: "j@example.com",
    name: "Jörg Müller",
  }];
  expect(addressHeader("To", mailboxes)).toBe(
    "To: somebody.with.a.long.name@mail.example.com,\r\n =?UTF-8?Q?J=C3=B6rg_M=C3=BCller?= <j@example.com>\r\n",
  );
});

test("addressHeader() puts a quoted local part into brackets even without a name", () => {
  expect(to(undefined, '"a b"@x.example')).toBe('<"a b"@x.example>');
});

test("addressHeader() leaves a UTF-8 local part as it is: nothing else can carry it", () => {
  expect(to("用户", "用户@xn--fsqu00a.example")).toBe("=?UTF-8?B?55So5oi3?= <用户@xn--fsqu00a.example>");
});
