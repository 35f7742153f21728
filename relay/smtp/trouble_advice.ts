import type { Phase } from "../delivery/transport.ts";
import type { TlsPolicy } from "./opening.ts";
import { OUR_CERTIFICATE, TLS_ADVICE } from "./tls_advice.ts";

/**
 * DESIGN: what to change when a route is out, as one closed table. The keys are all codes of `RouteTrouble`; the first
 * row of a code that fits counts, and the last one fits always. `{host}`, `{port}` and `{code}` (of the reply) are
 * filled in.
 */

/** One row: what is left out fits everything. */
export interface TroubleAdvice {
  readonly phase?: Phase;
  readonly detail?: readonly string[];
  readonly hasReply?: boolean;
  readonly replyCodes?: readonly number[];
  readonly tls?: readonly TlsPolicy[];
  readonly port?: number;
  readonly hasCredentials?: boolean;
  /** The login is an access token. */
  readonly hasToken?: boolean;
  /** We show a certificate of our own. */
  readonly hasCertificate?: boolean;
  readonly problem: string;
  readonly fix: string;
}

const PLAIN: readonly TlsPolicy[] = ["required", "opportunistic", "none"];
const OPEN: readonly TlsPolicy[] = ["opportunistic", "none"];
const WITH_STARTTLS: readonly TlsPolicy[] = ["required", "opportunistic"];

// TLS 1.3 says so after the handshake, and the connection ends in the middle of the greeting.
const NO_CERTIFICATE = ["ERR_SSL_TLSV1_ALERT_CERTIFICATE_REQUIRED", "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED"];

/** The table. */
export const TROUBLE_ADVICE: Readonly<Record<string, readonly TroubleAdvice[]>> = {
  dns: [
    {
      detail: ["EAI_AGAIN", "ESERVFAIL", "ETIMEOUT"],
      problem: "The name server does not answer for {host}",
      fix: "check the name servers of this machine (in a container: its DNS setting)",
    },
    {
      problem: "No host is called {host} on this network",
      fix: "correct the host in SMTP_URL, or use a name server that knows it (an internal name needs an internal one)",
    },
  ],
  connect_refused: [
    {
      detail: ["EHOSTUNREACH", "ENETUNREACH", "EHOSTDOWN"],
      problem: "There is no way from this machine to {host}",
      fix: "check routing, VPN and IPv6 of this machine, or correct the host in SMTP_URL",
    },
    {
      detail: ["EACCES", "EPERM"],
      problem: "This machine does not allow connections to {host} port {port}",
      fix: "allow them in its firewall or sandbox",
    },
    {
      problem: "Nothing listens on {host} port {port}",
      fix: "correct the port in SMTP_URL (25 or 587 for smtp://, 465 for smtps://), or start the server",
    },
  ],
  connect_timeout: [
    {
      port: 25,
      problem: "{host} does not answer on port 25",
      fix:
        "use port 587 with a login (smtp://user:password@{host}:587), since clouds and access providers block port 25, or open the firewall",
    },
    {
      tls: ["implicit"],
      problem: "{host} port {port} does not answer, or not with TLS",
      fix: "open the firewall between this machine and it, or write smtp:// if the port begins without TLS",
    },
    {
      problem: "{host} does not answer on port {port}",
      fix: "open the firewall between this machine and it, or correct host and port in SMTP_URL",
    },
  ],
  ...TLS_ADVICE,
  greeting_refused: [
    {
      phase: "ehlo",
      problem: "{host} does not take the name that we give in EHLO ({code})",
      fix: "add ?name=relay.example.com to SMTP_URL, with a name that DNS knows for this machine",
    },
    {
      problem: "{host} does not serve this machine ({code})",
      fix: "let the server allow the address of this machine",
    },
  ],
  shutting_down: [{
    problem: "{host} closes the connection for now (421)",
    fix:
      "wait, or lower RELAY_CONNECTIONS (where SMTP_URL has connections=, that) if it speaks of too many connections",
  }],
  auth_required: [
    {
      tls: OPEN,
      hasCredentials: true,
      problem: "{host} wants TLS before it takes mail ({code})",
      fix: "write ?tls=required in SMTP_URL",
    },
    {
      hasCredentials: false,
      problem: "{host} takes mail only after a login or over TLS ({code})",
      fix: "write smtp://user:password@{host}:587 in SMTP_URL",
    },
    {
      problem: "{host} takes no mail from this login ({code})",
      fix: "let the server allow this user to send, or use another one",
    },
  ],
  auth_rejected: [
    {
      // RFC 4954 section 6 (538) and RFC 3207 section 4 (530).
      replyCodes: [530, 538],
      tls: OPEN,
      problem: "{host} takes a login over TLS only ({code})",
      fix: "write ?tls=required in SMTP_URL",
    },
    {
      hasToken: true,
      problem: "{host} does not accept the access token ({code})",
      fix:
        "write an access token of this user, allowed to send mail and not expired, to the file that token-file= in SMTP_URL names",
    },
    {
      problem: "{host} does not accept user and password ({code})",
      fix:
        "correct user and password in SMTP_URL (@ is written %40, : %3A, / %2F); providers often want an API key or an app password instead of the account's own",
    },
  ],
  auth_unavailable: [
    {
      hasReply: true,
      problem: "{host} cannot check logins at the moment ({code})",
      fix: "wait, or look into the log of the server",
    },
    {
      detail: ["no_mechanism"],
      problem: "{host} offers no way to log in that this login can use",
      fix: "let the server offer AUTH PLAIN or LOGIN over TLS (with an access token: XOAUTH2)",
    },
    {
      detail: ["no_secret"],
      problem: "The secret for the login at {host} cannot be read",
      fix: "see that the file of the token is there, is not empty and can be read by the relay's user",
    },
    {
      tls: OPEN,
      problem: "{host} offers no login without TLS",
      fix: "write ?tls=required in SMTP_URL",
    },
    {
      problem: "{host} port {port} offers no login",
      fix:
        "use the port for submission (587, or smtps:// with 465), or leave user and password out if it knows this machine by its address",
    },
  ],
  protocol: [
    {
      phase: "greeting",
      hasReply: false,
      problem: "What answers on {host} port {port} is not an SMTP server",
      fix: "correct the port in SMTP_URL (25 or 587 for smtp://, 465 for smtps://)",
    },
    {
      problem: "{host} breaks the rules of SMTP",
      fix: "set LOG_LEVEL=debug to see the dialogue: a filter or proxy on the way may change it",
    },
  ],
  timeout: [
    {
      phase: "greeting",
      tls: PLAIN,
      port: 465,
      problem: "{host} port 465 waits for TLS from the first byte",
      fix: "write smtps://{host}:465 in SMTP_URL",
    },
    {
      phase: "greeting",
      tls: PLAIN,
      problem: "{host} takes the connection on port {port} and says nothing",
      fix: "write smtps:// if the port begins with TLS; else correct the port, since an SMTP server speaks first",
    },
    {
      phase: "starttls",
      tls: WITH_STARTTLS,
      problem: "{host} does not finish the TLS handshake",
      fix: "look for a firewall or proxy that swallows TLS, or for an overloaded server",
    },
    {
      problem: "{host} does not answer in time",
      fix: "look at the load of the server and at what stands between",
    },
  ],
  closed: [
    {
      detail: NO_CERTIFICATE,
      problem: "{host} wants a certificate from us",
      fix: "add ?cert=/path/of/ours.pem&key=/path/of/its/key.pem to SMTP_URL",
    },
    {
      detail: OUR_CERTIFICATE,
      problem: "{host} does not accept our certificate",
      fix: "let the server trust the authority that has issued it, or renew it (?cert= in SMTP_URL)",
    },
    {
      phase: "greeting",
      tls: PLAIN,
      problem: "{host} closes the connection on port {port} without a word",
      fix: "let the server allow the address of this machine, or write smtps:// if the port begins with TLS",
    },
    {
      phase: "starttls",
      problem: "{host} closes the connection in the TLS handshake",
      fix: "look into the log of the server: it may speak only older versions of TLS, or want a certificate from us",
    },
    {
      phase: "connect",
      tls: ["implicit"],
      problem: "{host} closes the connection in the TLS handshake",
      fix: "write smtp:// if the port begins without TLS; else look into the log of the server",
    },
    {
      // Some servers hang up without an alert.
      hasCertificate: true,
      phase: "ehlo",
      problem: "{host} closes the connection in the middle of the dialogue",
      fix: "look into the log of the server: it may not trust the authority of our certificate (?cert= in SMTP_URL)",
    },
    {
      hasCertificate: true,
      phase: "greeting",
      tls: ["implicit"],
      problem: "{host} closes the connection after the TLS handshake",
      fix: "look into the log of the server: it may not trust the authority of our certificate (?cert= in SMTP_URL)",
    },
    {
      problem: "{host} closes the connection in the middle of the dialogue",
      fix: "look into the log of the server: it says why it has hung up",
    },
  ],
  aborted: [{
    problem: "The relay gave the connection up, since it stops",
    fix: "nothing to do: the next start goes on with it",
  }],
};
