// A Cloudflare Worker that sends what is due each minute, through a public SMTP server and with no machine of one's
// own. wrangler.toml stands in docs/worker.md.
import { drainWorker } from "mailchute/worker";

interface Env {
  readonly HYPERDRIVE: { readonly connectionString: string };
  /** Such as smtps://user:password@smtp.example.com?name=mail.example.com: `wrangler secret put SMTP_URL`. */
  readonly SMTP_URL: string;
}

export default drainWorker((env: Env) => ({
  database: env.HYPERDRIVE.connectionString,
  address: "db.example.com:5432/shop",
  smtp: env.SMTP_URL,
}));
