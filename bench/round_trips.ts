import type { Benchmark, ByEffort } from "./benchmark.ts";
import { inFlight } from "./in_flight.ts";
import { smallRequest } from "./mail.ts";
import { measure, type Measured, perSecond, spread } from "./measure.ts";
import { NODEMAILER_SETTINGS, nodemailerPool } from "./peers/nodemailer_pool.ts";
import { serveSink } from "./sink_server.ts";
import { composeAndSend, openTransport } from "./transport_here.ts";

const DELAY_MS = 20;
const TO = "reader@example.com";
const OURS = "mailchute's SMTP engine";
const NODEMAILER = "nodemailer's pool";

const SIZES: ByEffort<{ readonly mails: number; readonly rounds: number }> = {
  full: { mails: 400, rounds: 3 },
  quick: { mails: 50, rounds: 2 },
  tiny: { mails: 6, rounds: 1 },
};

/** What distance costs: one connection to a server that answers late. */
export const roundTrips: Benchmark = {
  name: "round-trips",
  async run(_lab, effort) {
    const { mails, rounds } = SIZES[effort];
    let replies = 0;
    const sink = serveSink({ onReply: () => replies++ }, DELAY_MS);
    const connections = 1;
    const pool = nodemailerPool({ port: sink.port, connections });
    const transport = openTransport({ port: sink.port, connections });
    const counted = new Map<string, number[]>([[OURS, []], [NODEMAILER, []]]);
    const sample = async (name: string, work: () => Promise<unknown>): Promise<number> => {
      const before = replies;
      const rate = await perSecond(mails, () => inFlight(mails, { atATime: 4, work }));
      counted.get(name)?.push((replies - before) / mails);
      return rate;
    };
    try {
      const rows = await measure([
        { name: OURS, against: [NODEMAILER], sample: () => sample(OURS, () => composeAndSend(transport, TO)) },
        { name: NODEMAILER, sample: () => sample(NODEMAILER, () => pool.send(smallRequest(TO))) },
      ], { rounds, better: "more" });
      const trips = [...counted].map(([name, values]): Measured => ({ name, ...spread(values), ratios: [] }));
      return {
        title: `Round trips: one connection to a server ${DELAY_MS} ms away`,
        method:
          `A sink in this process that offers PIPELINING and sends every reply ${DELAY_MS} ms late, one connection, four mails handed over at a time, ${mails} mails ` +
          `a round, ${rounds} rounds in turn. A round trip is a moment at which the server sends replies. nodemailer: one connection, ${NODEMAILER_SETTINGS}.`,
        tables: [{ unit: "mails/s", rows }, { unit: "round trips a mail", rows: trips }],
      };
    } finally {
      pool.close();
      await transport.close();
      sink.stop();
    }
  },
};
