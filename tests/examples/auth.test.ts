import { expect, test } from "bun:test";
import { mailProvider } from "../../examples/auth_js.ts";
import { authMail } from "../../examples/better_auth.ts";
import { openShop, type Shop } from "./shop.ts";

/** Has a hook send links, and fails unless each has its record and its mail, or neither. */
async function expectLinks(shop: Shop, send: (email: string) => Promise<void>): Promise<void> {
  const both = { rows: ["ann@example.com"], mails: ["ann@example.com"] };
  await send("ann@example.com");
  expect(await shop.held("auth_links", "email")).toEqual(both);
  for (const email of ["no address", "ann@blocked.example"]) {
    await expect(send(email)).rejects.toThrow();
    expect({ email, ...await shop.held("auth_links", "email") }).toEqual({ email, ...both });
  }
  const [mail] = await shop.sql`
    select text, tags, lane, expires_at > now() as "isOpen"
    from mailchute.message join mailchute.content c on c.id = content_id`;
  expect(mail).toEqual({ text: `Follow this link: ${URL_SENT}`, tags: ["auth"], lane: 0, isOpen: true });
}

const URL_SENT = "https://shop.example.com/api/auth/verify?token=t0ken";

for (
  const [hook, subject] of [
    ["sendVerificationEmail", "Confirm your address"],
    ["sendResetPassword", "Choose a new password"],
  ] as const
) {
  test(`better_auth.ts: ${hook} queues the link with its record or neither`, async () => {
    await using shop = await openShop();
    const { emailAndPassword, emailVerification } = authMail(shop.app);
    const send = { ...emailAndPassword, ...emailVerification }[hook];
    await expectLinks(shop, (email) => send({ user: { id: "u1", email, name: "" }, url: URL_SENT }));
    expect((await shop.sql`select subject from mailchute.content`)[0]).toEqual({ subject });
  });
}

test("better_auth.ts names the user in To", async () => {
  await using shop = await openShop();
  const { emailVerification } = authMail(shop.app);
  const user = { id: "u1", email: "ann@example.com", name: "Ann" };
  await emailVerification.sendVerificationEmail({ user, url: URL_SENT });
  expect((await shop.sql`select name from mailchute.recipient`)[0]).toEqual({ name: "Ann" });
});

test("auth_js.ts queues the link with its record or neither", async () => {
  await using shop = await openShop();
  const provider = mailProvider(shop.app);
  const expires = new Date(Date.now() + provider.maxAge * 1_000);
  await expectLinks(shop, (identifier) => provider.sendVerificationRequest({ identifier, url: URL_SENT, expires }));
});
