import { placeOf } from "../database/database.ts";
import { lookAtPlace } from "../place/place_record.ts";
import type { DatabaseUnderTest } from "./database.ts";
import { fail, type Finding, ok } from "./finding.ts";

/** Whether the queue is drained here, or this is a copy of the database that it is drained in. */
export async function checkPlace({ sql, database }: DatabaseUnderTest): Promise<readonly Finding[]> {
  const { remembered, difference, present } = await lookAtPlace(sql, placeOf(database));
  if (remembered === undefined) return [ok("place", "no relay has drained it yet: the first one makes this its place")];
  if (difference === undefined) return [ok("place", `its queue is drained here, at ${present.address}`)];
  return [fail(
    "place",
    `a copy: its queue is drained at ${remembered.addresses[0]}, and ${difference}; nothing is sent from it`,
    `mailchute adopt-copy --keep --database ${database.name}, if it has moved here for good; --discard cancels what it copied`,
  )];
}
