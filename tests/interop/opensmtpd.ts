import { chmodSync, chownSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { freePorts } from "../port.ts";
import { createAuthority } from "../smtp/certificate.ts";
import { startDaemon } from "./daemon.ts";
import { fetchedProgram, MAIL_UID, makeJail } from "./jail.ts";
import {
  BOXES,
  CREDENTIALS,
  DOMAIN,
  type Entrance,
  HOST,
  type MailServer,
  MAX_MAIL_BYTES,
  PASSED_ON,
} from "./mail_server.ts";
import { makeMaildir } from "./maildir.ts";

const PROGRAM = "/usr/sbin/smtpd";
const ENCRYPT = "/usr/libexec/opensmtpd/encrypt";
const TOOLS = ["/usr/bin/sh", ENCRYPT, "/usr/libexec/opensmtpd/mail.maildir"];

/** OpenSMTPD, or undefined when it was not fetched. */
export const OPENSMTPD = fetchedProgram(PROGRAM);

/** Starts OpenSMTPD in a jail. It offers PLAIN and LOGIN always together, so there is no entrance with LOGIN alone. */
export async function startOpenSmtpd(): Promise<MailServer> {
  const jail = makeJail([PROGRAM, ...TOOLS], { opensmtpd: 2_001, opensmtpq: 2_002 });
  const [plain, submission, implicit, onward] = await freePorts(4) as [number, number, number, number];
  const ports: Readonly<Partial<Record<Entrance, number>>> = { plain, submission, implicit };
  const authority = createAuthority();
  const { cert, key } = authority.issue([HOST]);
  // It refuses a key that others may read.
  jail.write("etc/cert.pem", cert, 0o600);
  jail.write("etc/key.pem", key, 0o600);
  jail.write("etc/ssl/certs/ca-certificates.crt", authority.ca);
  jail.write(
    "etc/boxes",
    BOXES.filter((box) => box !== "jörg").map((box) => `${box}@${DOMAIN}\n`).join(""),
  );
  for (const path of ["var/spool/smtpd", "var/lib/opensmtpd/empty", "var/run"]) {
    mkdirSync(join(jail.root, path), { recursive: true });
  }
  chmodSync(join(jail.root, "var/spool/smtpd"), 0o711);
  const encrypted = Bun.spawnSync(["chroot", jail.root, ENCRYPT, CREDENTIALS.password]);
  if (!encrypted.success) throw new Error(`Cannot encrypt the password: ${encrypted.stderr.toString()}`);
  jail.write("etc/credentials", `${CREDENTIALS.user} ${encrypted.stdout.toString().trim()}\n`);
  jail.write("etc/smtpd.conf", configuration({ plain, submission, implicit }, onward));
  for (const box of BOXES) makeMaildir(join(jail.root, "mail", box), MAIL_UID);
  chownSync(join(jail.root, "mail"), MAIL_UID, MAIL_UID);

  mkdirSync(join(jail.root, "log"));
  return await startDaemon({
    name: "OpenSMTPD",
    command: jail.command(PROGRAM, "-d", "-f", "/etc/smtpd.conf"),
    ports,
    onward,
    ca: authority.ca,
    boxes: join(jail.root, "mail"),
    logs: join(jail.root, "log"),
    remove: jail.remove,
  });
}

function configuration(
  ports: Readonly<Record<"plain" | "submission" | "implicit", number>>,
  onward: number,
): string {
  return `pki ${HOST} cert "/etc/cert.pem"
pki ${HOST} key "/etc/key.pem"
table boxes file:/etc/boxes
table credentials file:/etc/credentials
table everybody { "@" = mail }
smtp max-message-size ${MAX_MAIL_BYTES}
listen on 127.0.0.1 port ${ports.plain} hostname ${HOST}
listen on 127.0.0.1 port ${ports.submission} hostname ${HOST} tls-require pki ${HOST} auth <credentials>
listen on 127.0.0.1 port ${ports.implicit} hostname ${HOST} smtps pki ${HOST} auth <credentials>
action "onward" relay host smtp://127.0.0.1:${onward}
action "box" maildir "/mail/%{rcpt.user}" virtual <everybody>
match from any for rcpt-to "${PASSED_ON}" action "onward"
match from any for domain "${DOMAIN}" rcpt-to <boxes> action "box"
`;
}
