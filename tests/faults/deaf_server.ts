import { type Answer, type ScriptedServer, type Scripts, startScriptedServer } from "../scripted_server.ts";

/** Where the server leaves each of the first connections. In the last phase it has taken the mail, and nobody knows. */
export const PHASES = ["connect", "ehlo", "mail", "rcpt", "data", "content", "taken"] as const;

/** A server that stops answering on its next connections, each in another phase, once `deafen` is called. */
export interface DeafServer {
  readonly server: ScriptedServer;
  deafen(): Promise<void>;
  /** It has stopped answering in all phases. */
  readonly isReached: Promise<unknown>;
  /** The recipient whose mail each phase has. */
  readonly recipients: ReadonlyMap<string, string>;
}

export async function startDeafServer(): Promise<DeafServer> {
  const reached = new Map(PHASES.map((phase) => [phase, Promise.withResolvers<void>()]));
  const recipients = new Map<string, string>();
  const named = new Map<number, string>();
  let first = Infinity;
  const at = (phase: typeof PHASES[number], connection: number, answer: Answer = { hang: true }): Answer => {
    if (PHASES[connection - first] !== phase) return undefined;
    reached.get(phase)?.resolve();
    const recipient = named.get(connection);
    if (recipient !== undefined) recipients.set(phase, recipient);
    return answer;
  };
  const on: Scripts = {
    connect: (_, { connection }) => at("connect", connection),
    ehlo: (_, { connection }) => at("ehlo", connection),
    mail: (_, { connection }) => at("mail", connection),
    rcpt: (address, { connection }) => {
      named.set(connection, address);
      return at("rcpt", connection);
    },
    data: (_, { connection }) => at("data", connection),
    content: (_, { connection }) => at("content", connection) ?? at("taken", connection, { acceptAndHang: true }),
  };
  const server = await startScriptedServer({ offer: [], on });
  return {
    server,
    recipients,
    isReached: Promise.all([...reached.values()].map(({ promise }) => promise)),
    deafen: async () => {
      server.dropAll();
      await server.whenEmpty();
      first = server.transcripts.length + 1;
    },
  };
}
