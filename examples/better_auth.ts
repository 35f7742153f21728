// Better Auth: the options that send mail. In auth.ts: betterAuth({ database: …, ...authMail(sql) })
import { createMailer } from "mailchute";
import type { Sql } from "postgres";

/** What Better Auth hands to its hooks. */
interface AuthLink {
  readonly user: { readonly id: string; readonly email: string; readonly name: string };
  readonly url: string;
}

type SendLink = (link: AuthLink) => Promise<void>;

interface AuthMail {
  readonly emailAndPassword: {
    readonly enabled: true;
    readonly requireEmailVerification: true;
    readonly sendResetPassword: SendLink;
  };
  readonly emailVerification: { readonly sendOnSignUp: true; readonly sendVerificationEmail: SendLink };
}

/** As long as the links of Better Auth are good: what is late by more has no use. */
const LINK_LIFE_MS = 3_600_000;

export function authMail(sql: Sql): AuthMail {
  const mail = createMailer(sql, { from: "Shop <hello@shop.example.com>", tags: ["auth"], transaction: "required" });

  async function send({ user, url }: AuthLink, subject: string): Promise<void> {
    await sql.begin(async (tx) => {
      // The app's own record of the links that it has sent, for whoever asks where one is.
      await tx`insert into auth_links (user_id, email, subject) values (${user.id}, ${user.email}, ${subject})`;
      const to = user.name === "" ? user.email : { email: user.email, name: user.name };
      const expiresAt = new Date(Date.now() + LINK_LIFE_MS);
      await mail.send({ to, subject, text: `Follow this link: ${url}`, priority: "high", expiresAt }, { tx });
    });
  }

  return {
    emailAndPassword: {
      enabled: true,
      requireEmailVerification: true,
      sendResetPassword: (link) => send(link, "Choose a new password"),
    },
    emailVerification: {
      sendOnSignUp: true,
      sendVerificationEmail: (link) => send(link, "Confirm your address"),
    },
  };
}
