/** What the server knows us by: a password, or an OAuth 2.0 access token. */
export type Credentials =
  | { readonly user: string; readonly password: string }
  /** Asked for the token of the moment on every connection; what it throws is trouble of the route. */
  | { readonly user: string; readonly accessToken: () => string };

/** What the server knows us by, for one connection. */
export interface Login {
  readonly user: string;
  readonly secret: string;
}

/** The mechanisms for a password, best first. Both show it to the server, which is why they go over TLS only. */
const PASSWORD_MECHANISMS = ["PLAIN", "LOGIN"] as const;

export type PasswordMechanism = (typeof PASSWORD_MECHANISMS)[number];

export type Mechanism = PasswordMechanism | "XOAUTH2";

/** Takes the secret of the moment. */
export function loginOf(credentials: Credentials): Login {
  const { user } = credentials;
  if ("password" in credentials) return { user, secret: credentials.password };
  return { user, secret: credentials.accessToken() };
}

/** The mechanisms that these credentials can be used with, best first. */
export function mechanismsFor(
  credentials: Credentials,
  wanted: PasswordMechanism | undefined,
): readonly Mechanism[] {
  if (!("password" in credentials)) return ["XOAUTH2"];
  return wanted === undefined ? PASSWORD_MECHANISMS : [wanted];
}

/** What to say: the command, then one line for each 334 of the server. */
export interface AuthExchange {
  readonly mechanism: Mechanism;
  /** Without its line end. Never log it: use `AUTH <mechanism>`. */
  readonly command: string;
  readonly answers: readonly string[];
}

// RFC 4954 section 4: an initial response must not make the command longer than a command line may be.
const MAX_COMMAND_CHARACTERS = 510;

/**
 * Composes the dialogue of one mechanism: PLAIN (RFC 4616), LOGIN (draft-murchison-sasl-login) or XOAUTH2 (Google's and
 * Microsoft's, the forerunner of RFC 7628).
 *
 * @example
 * ```ts
 * const { command } = authExchange("PLAIN", { user: "ann", secret: "s3cret" });
 * if (command !== "AUTH PLAIN AGFubgBzM2NyZXQ=") throw new Error("unexpected");
 * ```
 */
export function authExchange(mechanism: Mechanism, { user, secret }: Login): AuthExchange {
  switch (mechanism) {
    case "PLAIN": {
      const response = base64(`\0${user}\0${secret}`);
      const command = `AUTH PLAIN ${response}`;
      if (command.length <= MAX_COMMAND_CHARACTERS) return { mechanism, command, answers: [] };
      return { mechanism, command: "AUTH PLAIN", answers: [response] };
    }
    case "LOGIN":
      return { mechanism, command: "AUTH LOGIN", answers: [base64(user), base64(secret)] };
    case "XOAUTH2":
      // Tokens are longer than an old command line; RFC 4954 section 4 allows 12,288 octets here. When it does not like
      // the token, the server says why by a 334, and wants an empty line before it says 535.
      return { mechanism, command: `AUTH XOAUTH2 ${xoauth2Response(user, secret)}`, answers: [""] };
    default:
      return mechanism satisfies never;
  }
}

/** The initial response of XOAUTH2. */
export function xoauth2Response(user: string, token: string): string {
  return base64(`user=${user}\u0001auth=Bearer ${token}\u0001\u0001`);
}

/** Encodes the UTF-8 form of a text (RFC 4616 section 2). */
export function base64(text: string): string {
  let binary = "";
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCharCode(byte);
  return btoa(binary);
}
