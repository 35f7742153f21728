import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { program } from "../debian.ts";
import { freePorts } from "../port.ts";
import { createAuthority } from "../smtp/certificate.ts";
import { startDaemon } from "./daemon.ts";
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

const DAEMONS = "/usr/lib/postfix/sbin";
const REALM = HOST;

/** Writes the passwords that Postfix's AUTH looks up. */
const SASL = program("/usr/sbin/saslpasswd2");

/** Postfix's master program, which is for root only; undefined when something is missing. */
export const POSTFIX = SASL !== undefined && process.getuid?.() === 0 ? program(join(DAEMONS, "master")) : undefined;

/** Starts the installed Postfix with folders of its own; the system's configuration and queue stay untouched. */
export async function startPostfix(): Promise<MailServer> {
  const folder = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "mailchute-postfix-"));
  chmodSync(folder, 0o755);
  const [plain, submission, login, implicit, onward] = await freePorts(5) as [number, number, number, number, number];
  const authority = createAuthority();
  const owner = userId("postfix");
  configure(folder, authority.issue([HOST]), {
    services: { plain, submission, login, implicit },
    onward,
    owner,
  });
  const ports: Readonly<Record<Entrance, number>> = { plain, submission, login, implicit };

  return await startDaemon({
    name: "Postfix",
    command: [POSTFIX as string, "-c", folder, "-d"],
    ports,
    onward,
    ca: authority.ca,
    boxes: join(folder, "mail"),
    logs: join(folder, "logs"),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  });
}

interface Setting {
  readonly onward: number;
  readonly services: Readonly<Record<Entrance, number>>;
  readonly owner: number;
}

function configure(
  folder: string,
  certificate: { readonly cert: string; readonly key: string },
  { services, onward, owner }: Setting,
): void {
  const write = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    // A file of this very second might still be changing: Postfix waits until it is older.
    utimesSync(join(folder, name), LONG_AGO, LONG_AGO);
  };
  write("cert.pem", certificate.cert);
  write("key.pem", certificate.key);
  write("boxes", BOXES.map((box) => `${box}@${DOMAIN} ${box}/\n`).join(""));
  for (const queue of QUEUES) mkdirSync(join(folder, "queue", queue), { recursive: true });
  for (const queue of [...QUEUES.filter((name) => name !== "pid"), "../data", "../mail"]) {
    mkdirSync(join(folder, "queue", queue), { recursive: true });
    chownSync(join(folder, "queue", queue), owner, owner);
  }
  for (const box of BOXES) makeMaildir(join(folder, "mail", box), owner);

  for (const name of ["sasl", "logs"]) mkdirSync(join(folder, name));
  for (const [name, mechanism] of [["smtpd", "PLAIN"], ["login", "LOGIN"]]) {
    const database = join(folder, "sasldb2");
    const plugin = "pwcheck_method: auxprop\nauxprop_plugin: sasldb\n";
    write(`sasl/${name}.conf`, `${plugin}sasldb_path: ${database}\nmech_list: ${mechanism}\n`);
  }
  const passwords = [SASL as string, "-p", "-c", "-f", join(folder, "sasldb2"), "-u", REALM, CREDENTIALS.user];
  const { success, stderr } = Bun.spawnSync(passwords, { stdin: new TextEncoder().encode(CREDENTIALS.password) });
  if (!success) throw new Error(`Cannot write the passwords: ${stderr.toString()}`);
  chownSync(join(folder, "sasldb2"), owner, owner);
  write("main.cf", mainCf(folder, { owner, onward }));
  write("master.cf", masterCf(services));
}

const LONG_AGO = new Date(0);
const QUEUES = [
  ...["active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "public", "saved"],
  ...["trace", "pid"],
];

function mainCf(folder: string, { owner, onward }: Pick<Setting, "owner" | "onward">): string {
  return `compatibility_level = 3.6
queue_directory = ${folder}/queue
data_directory = ${folder}/data
daemon_directory = ${DAEMONS}
maillog_file = ${folder}/logs/mail
maillog_file_prefixes = ${folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = ${HOST}
mydestination =
alias_maps =
local_recipient_maps =
message_size_limit = ${MAX_MAIL_BYTES}
virtual_mailbox_domains = ${DOMAIN}
virtual_mailbox_base = ${folder}/mail
virtual_mailbox_maps = texthash:${folder}/boxes
virtual_mailbox_limit = 0
virtual_alias_maps = inline:{ ${PASSED_ON}=gone@elsewhere.example }
transport_maps = inline:{ elsewhere.example=smtp:[127.0.0.1]:${onward} }
virtual_minimum_uid = 1
virtual_uid_maps = static:${owner}
virtual_gid_maps = static:${owner}
smtpd_relay_restrictions = reject_unauth_destination
smtpd_tls_cert_file = ${folder}/cert.pem
smtpd_tls_key_file = ${folder}/key.pem
smtpd_sasl_local_domain = ${REALM}
cyrus_sasl_config_path = ${folder}/sasl
`;
}

function masterCf(services: Setting["services"]): string {
  const auth = "-o smtpd_sasl_auth_enable=yes -o smtpd_client_restrictions=permit_sasl_authenticated,reject";
  const options: Readonly<Record<Entrance, string>> = {
    plain: "-o smtpd_tls_security_level=none",
    submission: `-o smtpd_tls_security_level=encrypt ${auth}`,
    login: `-o smtpd_tls_security_level=encrypt ${auth} -o smtpd_sasl_path=login`,
    implicit: `-o smtpd_tls_wrappermode=yes ${auth}`,
  };
  const entrances = Object.entries(services).map(([name, port]) =>
    `127.0.0.1:${port} inet n - n - - smtpd ${options[name as Entrance]}`
  );
  return `${entrances.join("\n")}
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
tlsmgr unix - - n 1000? 1 tlsmgr
anvil unix - - n - 1 anvil
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
flush unix n - n 1000? 0 flush
showq unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
`;
}

function userId(user: string): number {
  const line = readFileSync("/etc/passwd", "utf8").split("\n").find((entry) => entry.startsWith(`${user}:`));
  return Number(line?.split(":")[2]);
}
