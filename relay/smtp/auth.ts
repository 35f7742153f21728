/** What the server knows us by. */
export interface Credentials {
  readonly user: string;
  readonly password: string;
}

/** The mechanisms we speak, best first. Both show the password to the server, which is why they go over TLS only. */
const MECHANISMS = ["PLAIN", "LOGIN"] as const;

export type Mechanism = (typeof MECHANISMS)[number];

/** What to say: the command, then one line for each 334 of the server. */
export interface AuthExchange {
  readonly mechanism: Mechanism;
  /** Without its line end. Never log it: use `AUTH <mechanism>`. */
  readonly command: string;
  readonly answers: readonly string[];
}

// RFC 4954 section 4: an initial response must not make the command longer than a command line may be.
const MAX_COMMAND_CHARACTERS = 510;

/** Returns the best mechanism that both sides speak, undefined when there is none. */
export function chooseMechanism(offered: ReadonlySet<string>): Mechanism | undefined {
  return MECHANISMS.find((mechanism) => offered.has(mechanism));
}

/**
 * Composes the dialogue of one mechanism: PLAIN (RFC 4616) or LOGIN (draft-murchison-sasl-login).
 *
 * @example
 * ```ts
 * const { command } = authExchange("PLAIN", { user: "ann", password: "s3cret" });
 * if (command !== "AUTH PLAIN AGFubgBzM2NyZXQ=") throw new Error("unexpected");
 * ```
 */
export function authExchange(mechanism: Mechanism, credentials: Credentials): AuthExchange {
  switch (mechanism) {
    case "PLAIN": {
      const response = base64(`\0${credentials.user}\0${credentials.password}`);
      const command = `AUTH PLAIN ${response}`;
      if (command.length <= MAX_COMMAND_CHARACTERS) return { mechanism, command, answers: [] };
      return { mechanism, command: "AUTH PLAIN", answers: [response] };
    }
    case "LOGIN":
      return {
        mechanism,
        command: "AUTH LOGIN",
        answers: [base64(credentials.user), base64(credentials.password)],
      };
    default:
      return mechanism satisfies never;
  }
}

/** Encodes the UTF-8 form of a text (RFC 4616 section 2). */
export function base64(text: string): string {
  let binary = "";
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCharCode(byte);
  return btoa(binary);
}
