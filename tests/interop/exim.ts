import { chownSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { freePorts } from "../port.ts";
import { createAuthority } from "../smtp/certificate.ts";
import { startDaemon } from "./daemon.ts";
import { fetchedProgram, MAIL_UID, makeJail } from "./jail.ts";
import { BOXES, CREDENTIALS, DOMAIN, type Entrance, HOST, type MailServer, MAX_MAIL_BYTES } from "./mail_server.ts";
import { makeMaildir } from "./maildir.ts";

const PROGRAM = "/usr/sbin/exim4";
const EXIM_UID = 2_001;

/** Exim, or undefined when it was not fetched. */
export const EXIM = fetchedProgram(PROGRAM);

/** Starts Exim with GnuTLS and its plaintext authenticator, in a jail. */
export async function startExim(): Promise<MailServer> {
  const jail = makeJail([PROGRAM], { "Debian-exim": EXIM_UID });
  const [plain, submission, login, implicit, onward] = await freePorts(5) as [number, number, number, number, number];
  const ports: Readonly<Record<Entrance, number>> = { plain, submission, login, implicit };
  const authority = createAuthority();
  const { cert, key } = authority.issue([HOST]);
  jail.write("etc/cert.pem", cert);
  jail.write("etc/key.pem", key);
  jail.write("etc/boxes", BOXES.map((box) => `${box}: ${box}\n`).join(""));
  jail.write("etc/exim4/exim4.conf", configuration(ports, onward));
  for (const path of ["var/spool/exim4", "var/log/exim4"]) {
    mkdirSync(join(jail.root, path), { recursive: true });
    chownSync(join(jail.root, path), EXIM_UID, EXIM_UID);
  }
  for (const box of BOXES) makeMaildir(join(jail.root, "mail", box), MAIL_UID);

  return await startDaemon({
    name: "Exim",
    command: jail.command(PROGRAM, "-bdf"),
    ports,
    onward,
    ca: authority.ca,
    boxes: join(jail.root, "mail"),
    logs: join(jail.root, "var/log/exim4"),
    remove: jail.remove,
  });
}

function configuration(
  { plain, submission, login, implicit }: Readonly<Record<Entrance, number>>,
  onward: number,
): string {
  const correct = (user: string, password: string) =>
    `\${if and{{eq{$${user}}{${CREDENTIALS.user}}}{eq{$${password}}{${CREDENTIALS.password}}}}}`;
  return `primary_hostname = ${HOST}
daemon_smtp_ports = <; ${[plain, submission, login, implicit].join(";")}
tls_on_connect_ports = ${implicit}
local_interfaces = 127.0.0.1
log_file_path = /var/log/exim4/%s
host_lookup =
rfc1413_query_timeout = 0s
message_size_limit = ${MAX_MAIL_BYTES}
smtp_accept_queue_per_connection = 0
smtp_accept_max = 50
# Else it queues what comes in while the machine is busy, for a queue runner that is not there.
queue_only_load = 1000
dsn_advertise_hosts = *
tls_advertise_hosts = \${if eq{$received_port}{${plain}}{}{*}}
tls_certificate = /etc/cert.pem
tls_privatekey = /etc/key.pem
auth_advertise_hosts = \${if eq{$tls_in_cipher}{}{}{*}}
acl_smtp_mail = check_mail
acl_smtp_rcpt = check_rcpt
never_users = root

begin acl
check_mail:
  accept condition = \${if eq{$received_port}{${plain}}}
  accept authenticated = *
  deny message = 530 5.7.0 AUTH is required
check_rcpt:
  deny !domains = ${DOMAIN}
       message = 5.7.1 No relaying
  deny !verify = recipient
       message = 5.1.1 No such user
  accept

begin routers
onward:
  driver = manualroute
  domains = ${DOMAIN}
  local_parts = gone
  route_list = * 127.0.0.1
  self = send
  transport = onward
box:
  driver = accept
  domains = ${DOMAIN}
  local_parts = lsearch;/etc/boxes
  transport = maildir

begin transports
onward:
  driver = smtp
  port = ${onward}
  allow_localhost
maildir:
  driver = appendfile
  directory = /mail/$local_part_data
  maildir_format
  create_directory = false
  user = mail
  group = mail
  envelope_to_add
  return_path_add

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_advertise_condition = \${if !eq{$received_port}{${login}}}
  server_prompts = :
  server_condition = ${correct("auth2", "auth3")}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_advertise_condition = \${if eq{$received_port}{${login}}}
  server_prompts = Username:: : Password::
  server_condition = ${correct("auth1", "auth2")}
  server_set_id = $auth1
`;
}
