import { expect, test } from "bun:test";
import { convertPayload } from "../../relay/adopt/django_payload.ts";

const MAIL = {
  subject: "Hello",
  body: "Hi",
  from_email: "shop@example.com",
  to: ["ann@example.com", "bob@example.com"],
};

function request(more: object) {
  const converted = convertPayload({ ...MAIL, ...more });
  if (!converted.ok) throw new Error(converted.reason);
  return converted.request;
}

function reason(data: unknown): string {
  const converted = convertPayload(data);
  return converted.ok ? "taken" : converted.reason;
}

test("a header To or Cc of the app's own shows those it names, and hides the others", () => {
  const { to, cc, bcc } = request({
    cc: ["carl@example.com"],
    extra_headers: { To: '"Smith, Ann" <ann@example.com>', cc: "carl@example.com" },
  });
  expect(to).toEqual([{ name: "Smith, Ann", email: "ann@example.com" }]);
  expect(cc).toEqual([{ email: "carl@example.com" }]);
  expect(bcc).toEqual([{ email: "bob@example.com" }]);
  const strange = { ...MAIL, extra_headers: { To: "list@example.com" } };
  expect(reason(strange)).toBe("Its header To shows list@example.com, who is no recipient in to");
});

test("what is not text is strict base64, and what is neither is named", () => {
  const attachment = (content: unknown, mimetype: unknown = "application/pdf") => (
    { ...MAIL, attachments: [{ filename: "a.pdf", content, mimetype }] }
  );
  for (const content of ["", "QQ==", "QUI=", "QUJD"]) expect(reason(attachment(content))).toBe("taken");
  for (const content of ["QQ", "QQ=", "Q===", "QU JD", "QUJD\n", "é", "a-_b"]) {
    expect(reason(attachment(content))).toBe('Its attachment 1, "a.pdf", of type application/pdf, is not base64');
  }
  expect(reason(attachment(7))).toBe('Its attachment 1, "a.pdf", has no content');
  expect(reason(attachment("QQ", null))).toContain("of type application/octet-stream, is not base64");
  const { attachments } = request(attachment("QQ==", "text/plain; charset=utf-8"));
  expect(attachments).toEqual([{ filename: "a.pdf", contentType: "text/plain; charset=utf-8", base64: btoa("QQ==") }]);
});

test("a mail without a sender has the one of the settings, and else none", () => {
  const from = convertPayload({ ...MAIL, from_email: "" }, "Web <web@example.com>");
  expect(from.ok && from.request.from).toEqual({ name: "Web", email: "web@example.com" });
  expect(reason({ ...MAIL, from_email: "" })).toStartWith("It has no sender");
});

test("HTML alone stays alone, and text in an alternative is the text", () => {
  expect(request({ body: "", alternatives: [["<p>x</p>", "text/html"]] })).toMatchObject({
    text: "",
    html: "<p>x</p>",
  });
  expect(request({ body: "", alternatives: [["x", "text/plain"]] })).toMatchObject({ text: "x" });
  expect(reason({ ...MAIL, alternatives: [["a", "text/html"], ["b", "text/html"]] })).toContain(
    "of type text/html beside",
  );
});

test("what no backend has written is refused with what is wrong", () => {
  const wrong: readonly (readonly [data: unknown, words: string])[] = [
    [null, "no email object"],
    [[], "no email object"],
    [{ ...MAIL, to: "ann@example.com" }, "Its to is no list"],
    [{ ...MAIL, to: ["ann"] }, '"ann" in to is no address: '],
    [{ ...MAIL, bcc: [{}] }, "{} in bcc is no address"],
    [{ ...MAIL, subject: 7 }, "Its subject is no text"],
    [{ ...MAIL, extra_headers: ["X"] }, "Its extra_headers are no object"],
    [{ ...MAIL, alternatives: ["x"] }, "not a text with its MIME type"],
    [{ ...MAIL, attachments: "x" }, "Its attachments are no list"],
    [{ ...MAIL, attachments: [null] }, "has no content"],
    [{ ...MAIL, extra_headers: { "List-Unsubscribe-Post": "List-Unsubscribe=One-Click" } }, "https URL"],
  ];
  for (const [data, words] of wrong) expect(reason(data)).toContain(words);
});
