import { readNamedFile } from "./environment.ts";
import { Secret } from "./secret.ts";
import type { SettingsError } from "./settings_error.ts";
import {
  readParameter,
  readParameters,
  type SmtpParameters,
  splitParameters,
  type WrittenParameters,
} from "./smtp_parameters.ts";
import { refuse as refuseFor, type UrlSource } from "./url_source.ts";

/** `required` is STARTTLS with a verified certificate or nothing; `opportunistic` is STARTTLS when it is offered. */
export type TlsMode = "implicit" | "required" | "opportunistic" | "none";

/** What the server knows us by. */
export type SmtpCredentials =
  | { readonly user: string; readonly password: Secret }
  /** Reads the OAuth 2.0 access token of the moment. */
  | { readonly user: string; readonly accessToken: () => string };

/** The next hop. */
export interface SmtpSettings extends SmtpParameters {
  readonly host: string;
  readonly port: number;
  readonly tls: TlsMode;
  readonly credentials?: SmtpCredentials;
  /** Insists on one way to show the password. */
  readonly authMechanism?: "PLAIN" | "LOGIN";
  /** True only when somebody asked for it: credentials may cross the wire without TLS. */
  readonly allowsInsecureAuth: boolean;
  /** Longest wait for the server; undefined leaves it to the transport's own limits for each command. */
  readonly timeoutMs?: number;
}

const ENCODE = "write special characters of the user and the password as %40 for @, %3A for :, %2F for /, %23 for #";

/** Reads `SMTP_URL` or `SMTP_URL_<NAME>`. Its text appears in no error, since it holds a password. */
export function parseSmtpUrl(written: string, source: UrlSource): SmtpSettings {
  const refuse = (because: string, fix: string) => refuseFor(source, because, fix);
  const url = URL.canParse(written) ? new URL(written) : undefined;
  if (url === undefined && /^smtps?:\/\//i.test(written)) {
    throw refuse("its host or its port cannot be read", `write a port from 1 to 65535, and ${ENCODE}`);
  }
  if (url === undefined || !/^smtps?:$/.test(url.protocol)) {
    throw refuse(
      "it is no URL that begins with smtp:// or smtps://",
      `write smtp://user:password@host:587 and ${ENCODE}`,
    );
  }
  if (url.hash !== "" || (url.pathname !== "" && url.pathname !== "/")) {
    throw refuse("something follows the host that is no ?parameter", ENCODE);
  }
  if (url.hostname === "") throw refuse("it names no host", "write smtp://host:25");
  // Not ASCII comes as %C3%BC, which nobody would find.
  if (!/^([\w.-]+|\[.+\])$/.test(url.hostname)) {
    throw refuse("its host has characters that no host has", "write it as DNS has it, such as xn--mnchen-3ya.example");
  }
  const parameters = splitParameters(url, source);
  const login = readLogin(url, { parameters, source });
  const withCredentials = login.credentials !== undefined;
  const tls = readTls(url, { asked: readParameter("tls", { written: parameters, source }), withCredentials, refuse });
  const insecure = readParameter("insecure-auth", { written: parameters, source });
  const leaky = tls === "none" || tls === "opportunistic";
  if (withCredentials && leaky && insecure === undefined) {
    throw refuse(
      `with tls=${tls} the ${parameters.has("token-file") ? "token" : "password"} could cross the wire unencrypted`,
      "use tls=required, or add insecure-auth=yes if that is what you want",
    );
  }
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: readPort(url, { tls, withCredentials, refuse }),
    tls,
    ...login,
    ...readParameters(parameters, { source, tls }),
    allowsInsecureAuth: leaky && insecure === "yes",
  };
}

type Refuse = (because: string, fix: string) => SettingsError;
type Login = Pick<SmtpSettings, "credentials" | "authMechanism">;

const MECHANISMS = { plain: "PLAIN", login: "LOGIN" } as const;

function readLogin(
  url: URL,
  { parameters, source }: { readonly parameters: WrittenParameters; readonly source: UrlSource },
): Login {
  const refuse: Refuse = (because, fix) => refuseFor(source, because, fix);
  const auth = readParameter("auth", { written: parameters, source });
  const tokenFile = parameters.get("token-file");
  if (auth === "xoauth2") return { credentials: readTokenLogin(url, { tokenFile, source, refuse }) };
  if (tokenFile !== undefined) throw refuse("token-file is of use to xoauth2 only", "add auth=xoauth2 or remove it");
  if (url.username === "" && url.password === "") {
    if (auth !== undefined) throw refuse(`auth=${auth} needs a user`, "write smtp://user:password@host:587");
    return {};
  }
  if (url.username === "") throw refuse("it has a password but no user", "write smtp://user:password@host:587");
  if (url.password === "") throw refuse("it has a user but no password", "write smtp://user:password@host:587");
  const credentials = { user: decode(url.username, refuse), password: new Secret(decode(url.password, refuse)) };
  return auth === undefined ? { credentials } : { credentials, authMechanism: MECHANISMS[auth] };
}

function readTokenLogin(
  url: URL,
  { tokenFile, source, refuse }: {
    readonly tokenFile: string | undefined;
    readonly source: UrlSource;
    readonly refuse: Refuse;
  },
): SmtpCredentials {
  if (url.username === "") throw refuse("auth=xoauth2 needs a user", "write smtp://user@host:587");
  if (url.password !== "") {
    throw refuse("auth=xoauth2 takes a token and no password", "remove the password, and name the token's file");
  }
  if (tokenFile === undefined) {
    throw refuse("auth=xoauth2 needs the file with the access token", "add token-file= with its path");
  }
  const accessToken = () => {
    const token = readNamedFile(tokenFile, { fileName: source.variable, readFile: source.readFile }).trim();
    // RFC 6749 appendix A.12. Anything else would end the field of XOAUTH2, or be no token.
    if (/^[\x20-\x7e]+$/.test(token)) return token;
    throw refuse(
      `the file ${JSON.stringify(tokenFile)} that token-file names holds no access token`,
      "write one into it",
    );
  };
  // Whoever renews it comes later, perhaps; that the path is wrong shows now.
  accessToken();
  return { user: decode(url.username, refuse), accessToken };
}

function decode(text: string, refuse: Refuse): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw refuse("a % in the user or the password is not followed by two hex digits", "write %25 for %");
  }
}

function readTls(
  url: URL,
  options: { readonly asked: TlsMode | undefined; readonly withCredentials: boolean; readonly refuse: Refuse },
): TlsMode {
  const { asked: tls, withCredentials, refuse } = options;
  if (url.protocol === "smtps:") {
    if (tls !== undefined && tls !== "implicit") {
      throw refuse(`smtps:// is implicit TLS and tls=${tls} is not`, `write smtp:// with ?tls=${tls}`);
    }
    // Elsewhere smtps:// means STARTTLS (dj-email-url, django-environ); on these ports that is what was meant.
    if (url.port === "25" || url.port === "587") {
      throw refuse(
        `smtps:// is TLS from the first byte, which nobody serves on port ${url.port}`,
        `write smtp:// with port ${url.port} for STARTTLS, or smtps:// with port 465`,
      );
    }
    return "implicit";
  }
  if (tls === undefined && url.port === "465") {
    throw refuse("port 465 is TLS from the first byte and smtp:// is not", "write smtps:// with port 465");
  }
  return tls ?? (withCredentials ? "required" : "opportunistic");
}

function readPort(
  url: URL,
  options: { readonly tls: TlsMode; readonly withCredentials: boolean; readonly refuse: Refuse },
): number {
  if (url.port === "0") throw options.refuse("there is no port 0", "write a port from 1 to 65535");
  if (url.port !== "") return Number(url.port);
  if (options.tls === "implicit") return 465;
  return options.withCredentials ? 587 : 25;
}
