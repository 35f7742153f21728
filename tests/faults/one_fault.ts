import { testServer } from "../database.ts";
import { RELAY_FAULTS, TRANSPORT_FAULTS } from "./named_faults.ts";
import { inWords } from "./page.ts";
import { runFault } from "./run_fault.ts";
import { runNodemailer } from "./run_nodemailer.ts";

/**
 * Runs one fault in a process of its own, which may freeze, and whose memory nobody else has used: `one_fault.ts
 * nodemailer 12`. Prints what came out for each mail, as JSON.
 */
const [, , client, number] = process.argv;
console.log(
  JSON.stringify(client === "nodemailer" ? await nodemailerOn(Number(number)) : await mailchuteOn(Number(number))),
);
process.exit(0);

async function nodemailerOn(number: number): Promise<readonly string[]> {
  const transportFault = TRANSPORT_FAULTS[number];
  if (transportFault !== undefined) return await runNodemailer(transportFault);
  return [await relayFaultOf(number).nodemailer?.() ?? "not run: keeps no queue"];
}

async function mailchuteOn(number: number): Promise<readonly string[]> {
  const transportFault = TRANSPORT_FAULTS[number];
  if (transportFault !== undefined) return (await runFault(transportFault)).outcomes.map(inWords);
  const relayFault = relayFaultOf(number);
  await testServer();
  return [await relayFault.run() ?? relayFault.then];
}

function relayFaultOf(number: number): typeof RELAY_FAULTS[number] {
  const fault = RELAY_FAULTS[number - TRANSPORT_FAULTS.length];
  if (fault === undefined) throw new Error(`Cannot run fault ${number}: there is none`);
  return fault;
}
