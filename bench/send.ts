import type { Benchmark, ByEffort } from "./benchmark.ts";
import { inFlight } from "./in_flight.ts";
import { smallRequest } from "./mail.ts";
import { measure, perSecond } from "./measure.ts";
import { NODEMAILER_SETTINGS, nodemailerPool } from "./peers/nodemailer_pool.ts";
import { startSink } from "./sink.ts";
import { composeAndSend, openTransport } from "./transport_here.ts";

const CONNECTIONS = 4;
const AT_A_TIME = CONNECTIONS * 4;
const TO = "reader@example.com";
const NODEMAILER = "nodemailer's pool";

const SIZES: ByEffort<{ readonly ours: number; readonly peers: number; readonly rounds: number }> = {
  full: { ours: 30_000, peers: 5_000, rounds: 7 },
  quick: { ours: 5_000, peers: 1_000, rounds: 3 },
  tiny: { ours: 40, peers: 20, rounds: 1 },
};

/** The SMTP engine alone: composing and sending, without a database. */
export const send: Benchmark = {
  name: "send",
  async run(lab, effort) {
    const { ours, peers, rounds } = SIZES[effort];
    await using sink = await startSink(lab.sinkKind);
    const pool = nodemailerPool({ port: sink.port, connections: CONNECTIONS });
    const transport = openTransport({ port: sink.port, connections: CONNECTIONS });
    try {
      const rows = await measure([
        {
          name: "mailchute's SMTP engine",
          against: [NODEMAILER],
          sample: () =>
            perSecond(ours, () => inFlight(ours, { atATime: AT_A_TIME, work: () => composeAndSend(transport, TO) })),
        },
        {
          name: NODEMAILER,
          sample: () =>
            perSecond(
              peers,
              () => inFlight(peers, { atATime: AT_A_TIME, work: () => pool.send(smallRequest(TO)) }),
            ),
        },
      ], { rounds, better: "more" });
      return {
        title: "Compose and send, without a database",
        method:
          `Small text mails (${
            smallRequest("").text.length
          } characters, one recipient) over ${CONNECTIONS} connections to ${sink.name}, which ` +
          `shares this machine; both senders in this process, ${AT_A_TIME} mails handed over at a time. ${ours} mails a round for ours and ${peers} for nodemailer, ` +
          `${rounds} rounds in turn. nodemailer: ${CONNECTIONS} connections, ${NODEMAILER_SETTINGS}.`,
        tables: [{ unit: "mails/s", rows }],
      };
    } finally {
      pool.close();
      await transport.close();
    }
  },
};
