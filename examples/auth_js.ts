// Auth.js (NextAuth): a provider that queues its sign-in links. In auth.ts: NextAuth({ adapter: …, providers:
// [mailProvider(sql)] })
import { createMailer } from "mailchute";
import type { Sql } from "postgres";

/** What Auth.js hands to an email provider. */
interface SignInRequest {
  readonly identifier: string;
  readonly url: string;
  readonly expires: Date;
}

interface MailProvider {
  readonly id: string;
  readonly type: "email";
  readonly name: string;
  /** In seconds. */
  readonly maxAge: number;
  sendVerificationRequest(request: SignInRequest): Promise<void>;
}

export function mailProvider(sql: Sql): MailProvider {
  const mail = createMailer(sql, { from: "Shop <hello@shop.example.com>", tags: ["auth"], transaction: "required" });
  return {
    id: "mailchute",
    type: "email",
    name: "Email",
    maxAge: 3600,
    async sendVerificationRequest({ identifier, url, expires }) {
      const subject = `Sign in to ${new URL(url).host}`;
      await sql.begin(async (tx) => {
        // The app's own record of the links that it has sent, for whoever asks where one is.
        await tx`insert into auth_links (email, subject) values (${identifier}, ${subject})`;
        const text = `Follow this link: ${url}`;
        await mail.send({ to: identifier, subject, text, priority: "high", expiresAt: expires }, { tx });
      });
    },
  };
}
