import { adoptCopyCommand } from "./adopt_copy.ts";
import { adoptCommand } from "./adopt.ts";
import { batchCommand } from "./batch.ts";
import { bounceCommand } from "./bounce.ts";
import { cancelCommand } from "./cancel.ts";
import type { Command } from "./command.ts";
import { doctorCommand } from "./doctor.ts";
import { explainCommand } from "./explain.ts";
import { grantsCommand } from "./grants.ts";
import { healthcheckCommand } from "./healthcheck.ts";
import { listCommand } from "./list.ts";
import { migrateCommand } from "./migrate.ts";
import { pauseCommand, resumeCommand } from "./pause.ts";
import { purgeCommand } from "./purge.ts";
import { retryCommand } from "./retry.ts";
import { runCommand } from "./run.ts";
import { sendCommand } from "./send.ts";
import { settleCommand } from "./settle.ts";
import { showCommand } from "./show.ts";
import { statusCommand } from "./status.ts";
import { streamCommand } from "./stream.ts";
import { suppressCommand } from "./suppress.ts";
import { templateCommand } from "./template.ts";

/** All commands, in the order of the help. */
export function commandsOf(machine: Parameters<typeof runCommand>[0]): readonly Command[] {
  return [
    runCommand(machine),
    migrateCommand,
    grantsCommand,
    doctorCommand(machine),
    statusCommand,
    listCommand,
    showCommand,
    explainCommand,
    retryCommand,
    cancelCommand,
    settleCommand,
    pauseCommand,
    resumeCommand,
    streamCommand,
    batchCommand,
    suppressCommand,
    bounceCommand,
    templateCommand,
    sendCommand(machine),
    purgeCommand,
    adoptCopyCommand,
    adoptCommand(machine),
    healthcheckCommand,
  ];
}
