import { createHmac } from "node:crypto";

interface Known {
  readonly user: string;
  readonly password: string;
}

/**
 * The server's side of AUTH: asks for what the mechanism needs, and tells whether it is the user it knows.
 *
 * @param ask says 334 with this challenge and waits for the answer
 */
export async function isLogin(
  known: Known,
  given: { readonly mechanism: string; readonly initial: string | undefined },
  ask: (challenge: string) => Promise<string>,
): Promise<boolean> {
  const { mechanism, initial } = given;
  switch (mechanism.toUpperCase()) {
    case "PLAIN": {
      const [, user, password] = decoded(initial ?? await ask("")).split("\0");
      return user === known.user && password === known.password;
    }
    case "CRAM-MD5": {
      // RFC 2195.
      const challenge = "<1.2@scripted.example>";
      const digest = createHmac("md5", known.password).update(challenge).digest("hex");
      return decoded(await ask(Buffer.from(challenge).toString("base64"))) === `${known.user} ${digest}`;
    }
    default: {
      const user = decoded(initial ?? await ask("VXNlcm5hbWU6"));
      return decoded(await ask("UGFzc3dvcmQ6")) === known.password && user === known.user;
    }
  }
}

function decoded(base64: string): string {
  return Buffer.from(base64, "base64").toString("utf8");
}
