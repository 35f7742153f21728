import type { Limit } from "../limits/throttle.ts";
import { choice, duration, integer, text } from "./kind.ts";
import type { Kind } from "./kind.ts";
import { rate } from "./rates.ts";

/** One `?parameter=` of SMTP_URL: what its errors and the docs know about it. */
interface Parameter<Value> {
  readonly kind: Kind<Value>;
  /** What the docs say in place of a default. */
  readonly fallback: string;
  readonly description: string;
}

function parameter<Value>(
  kind: Kind<Value>,
  words: { readonly fallback?: string; readonly description: string },
): Parameter<Value> {
  return { kind, fallback: "–", ...words };
}

/** What each parameter of an SMTP URL says. */
interface ParameterValues {
  readonly "tls": "implicit" | "required" | "opportunistic" | "none";
  readonly "min-tls": "1.2" | "1.3";
  readonly "ca": string;
  readonly "cert": string;
  readonly "key": string;
  readonly "auth": "plain" | "login" | "xoauth2";
  readonly "token-file": string;
  readonly "insecure-auth": "yes";
  readonly "name": string;
  readonly "connections": number;
  readonly "domain-connections": number;
  readonly "rate": readonly Limit[];
  readonly "mails-per-connection": number;
  readonly "connection-age": number;
  readonly "chunking": "no";
  readonly "dsn": "no" | "success";
}

/** Every parameter of an SMTP URL, in the order of the docs. */
export const smtpParameters: { readonly [Name in keyof ParameterValues]: Parameter<ParameterValues[Name]> } = {
  "tls": parameter(choice(["implicit", "required", "opportunistic", "none"]), {
    fallback: "implicit for smtps, required with credentials, else opportunistic",
    description:
      "`implicit`: TLS from the first byte; `required`: STARTTLS with a verified certificate, or nothing; `opportunistic`: STARTTLS when it is offered.",
  }),
  "min-tls": parameter(choice(["1.2", "1.3"]), {
    fallback: "1.2",
    description: "The oldest version of TLS to agree on.",
  }),
  "ca": parameter(text("the path of a PEM file"), {
    fallback: "the well-known authorities",
    description: "Certificates to trust.",
  }),
  "cert": parameter(text("the path of a PEM file"), {
    description: "The client certificate, with its chain, for a server that asks for one; needs `key`.",
  }),
  "key": parameter(text("the path of a PEM file"), { description: "Its private key, not encrypted; needs `cert`." }),
  "auth": parameter(choice(["plain", "login", "xoauth2"]), {
    fallback: "plain or login, as the server offers",
    description: "How to log in. `xoauth2` takes a user, no password, and `token-file`.",
  }),
  "token-file": parameter(text("the path of a file"), {
    description:
      "Holds the current OAuth 2.0 access token, and is read anew for every connection; whoever renews the token writes it there.",
  }),
  "insecure-auth": parameter(choice(["yes"]), { description: "Lets credentials cross the wire without TLS." }),
  "name": parameter(text("a host name or an address literal"), {
    fallback: "the machine's name",
    description: "What the relay calls itself in EHLO.",
  }),
  "connections": parameter(integer(1, 100), {
    fallback: "RELAY_CONNECTIONS",
    description: "Connections that are open at the same time.",
  }),
  "domain-connections": parameter(integer(1, 100), {
    fallback: "no limit",
    description: "The most of them that are busy with mail for one recipient domain.",
  }),
  "rate": parameter(rate, {
    fallback: "no limit",
    description:
      "How many mails may start in a time: the same as `route:NAME=` in RELAY_RATE, such as `60/m` or `60/m,2000/h`.",
  }),
  "mails-per-connection": parameter(integer(1, 1_000_000), {
    fallback: "500",
    description: "Mails after which a connection is replaced.",
  }),
  "connection-age": parameter(duration("1s", "1d"), {
    fallback: "5m",
    description: "Age after which a connection is replaced.",
  }),
  "chunking": parameter(choice(["no"]), {
    description: "`no` sends large mails by DATA even where the server offers CHUNKING.",
  }),
  "dsn": parameter(choice(["no", "success"]), {
    fallback: "of failures and delays",
    description:
      "Which delivery reports to ask for where the server offers DSN: `no`: none; `success`: of what was delivered too.",
  }),
};

/** A parameter of an SMTP URL. */
export type ParameterName = keyof ParameterValues;

/** The value of a parameter. */
export type ParameterValue<Name extends ParameterName> = ParameterValues[Name];

/** All of them, in the order of the docs. */
export const PARAMETER_NAMES: readonly ParameterName[] = Object.keys(smtpParameters) as ParameterName[]; // its own keys
