import type { Mailbox } from "../../src/address.ts";
import { compose } from "../../src/mime/compose.ts";
import { adviceOnOutcome, adviceOnTrouble } from "../smtp/advice.ts";
import { createSmtpTransport, routeFacts } from "../smtp/smtp.ts";
import { fail, type Finding, ok, warn } from "./finding.ts";
import { impatient, type RouteUnderTest } from "./route.ts";

/** Who writes to whom, and the mail's id. */
export interface TestMail {
  readonly id: string;
  readonly from: Mailbox;
  readonly to: Mailbox;
  /** The envelope's reverse-path; undefined: `from`. */
  readonly returnPath: string | undefined;
}

const TEXT = `This is a test mail of "mailchute doctor".

It came over the same composer, connection and login as the mails of your apps. Nothing of it is in the queue.
`;

/** Sends a real mail over a route, past the queue, and says what the server answered. */
export async function sendTestMail(route: RouteUnderTest, mail: TestMail): Promise<Finding> {
  const { id, from, to, returnPath } = mail;
  const options = { ...impatient(route.options), connections: 1 };
  const transport = createSmtpTransport(options);
  try {
    const wire = compose({
      id,
      date: new Date(route.nowMs),
      from,
      to: [to],
      cc: [],
      replyTo: [],
      subject: `Test of the route ${route.name} by mailchute`,
      text: TEXT,
      // RFC 3834 section 5: nobody's vacation notice shall answer it.
      headers: [["Auto-Submitted", "auto-generated"]],
      attachments: [],
    });
    const envelope = { reversePath: returnPath ?? from.email, recipients: [{ position: 0, email: to.email }] };
    const delivery = await transport.send(envelope, wire, new AbortController().signal);
    if (delivery.kind === "unavailable") {
      const { problem, fix } = adviceOnTrouble(delivery.trouble, routeFacts(options));
      return fail("test mail", problem, naming(fix, route));
    }
    const [outcome] = delivery.outcomes;
    if (outcome === undefined) return fail("test mail", "it has no outcome", "try again");
    const { reply, reason, kind, phase } = outcome;
    const said = reply === undefined
      ? reason
      : `${reply.code} ${[reply.enhanced, reply.text].filter(Boolean).join(" ")}`;
    const advice = adviceOnOutcome(outcome, routeFacts(options));
    if (advice === undefined) return ok("test mail", `${to.email}: sent, the server said: ${said}`);
    const found = `${to.email}: ${kind} in ${phase}. ${advice.problem}. The server said: ${said}`;
    return kind === "bounced" ? fail("test mail", found, naming(advice.fix, route)) : warn(
      "test mail",
      found,
      naming(advice.fix.replace("wait: the relay tries again", "wait, and try again"), route),
    );
  } finally {
    await transport.close();
  }
}

function naming(fix: string, { variable }: RouteUnderTest): string {
  return fix.replaceAll(/\bSMTP_URL\b/g, variable);
}
