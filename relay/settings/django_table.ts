import { hostName } from "./address_kind.ts";
import { choice, integer, line, password, text } from "./kind.ts";
import { optional } from "./setting.ts";

const DJANGO = "SMTP server, in Django's words";

/** The settings that Django's apps and django-email-relay have under the same names. */
export const djangoTable = {
  emailHost: optional("EMAIL_HOST", hostName("EMAIL_PORT"), {
    group: DJANGO,
    fallbackNote: "localhost",
    description: "Instead of SMTP_URL: the next hop.",
  }),
  emailPort: optional("EMAIL_PORT", integer(1, 65_535), {
    group: DJANGO,
    fallbackNote: "25",
    description: "Its port.",
  }),
  emailUser: optional("EMAIL_HOST_USER", line("a user name"), { group: DJANGO, description: "The SMTP user." }),
  emailPassword: optional("EMAIL_HOST_PASSWORD", password("a password"), {
    group: DJANGO,
    description: "The SMTP password; always text, also when it looks like a number.",
  }),
  emailUseTls: optional("EMAIL_USE_TLS", choice(["true", "false", "True", "False", "1", "0"]), {
    group: DJANGO,
    fallbackNote: "false",
    description: "STARTTLS, required and verified.",
  }),
  emailUseSsl: optional("EMAIL_USE_SSL", choice(["true", "false", "True", "False", "1", "0"]), {
    group: DJANGO,
    fallbackNote: "false",
    description: "Implicit TLS, most often on port 465.",
  }),
  emailTimeout: optional("EMAIL_TIMEOUT", integer(1, 3_600), {
    group: DJANGO,
    description: "Longest wait for the server, in seconds as in Django.",
  }),
  emailCertificate: optional("EMAIL_SSL_CERTFILE", line("the path of a PEM file"), {
    group: DJANGO,
    description: "The client certificate, with its chain; needs TLS.",
  }),
  emailKey: optional("EMAIL_SSL_KEYFILE", line("the path of a PEM file"), {
    group: DJANGO,
    fallbackNote: "in EMAIL_SSL_CERTFILE",
    description: "Its private key.",
  }),
  defaultFromEmail: optional("DEFAULT_FROM_EMAIL", text("an address"), {
    group: DJANGO,
    description:
      "Accepted, so that an app's environment can be shared; the relay sends nothing of its own in this version.",
  }),
} as const;
