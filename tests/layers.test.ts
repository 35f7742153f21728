import { Glob } from "bun";
import { expect, test } from "bun:test";
import { join, posix } from "node:path";

// The layers of the house. A file is in exactly one, and imports only from its own and from those that are named beside it.

interface Layer {
  readonly name: string;
  readonly files: RegExp;
  readonly mayImport: readonly string[];
}

const LAYERS: readonly Layer[] = [
  {
    name: "domain",
    files: /^src\/(mime\/)?(?!client\.|connection\.|follow_up\.|mailer\.|send_many\.|wait\.)\w+\.ts$/,
    mayImport: ["domain"],
  },
  {
    name: "client",
    files: /^src\/(client|connection|follow_up|mailer|send_many|wait|(drivers|nodemailer|testing)\/\w+)\.ts$/,
    mayImport: ["domain", "client"],
  },
  {
    name: "pure relay",
    files:
      /^relay\/(adopt\/django_payload|bell|breaker|clock|delay|duration|error_code|journal_memory|journal_record|lane_floors|lane_order|lane_shares|lease|mail_content|mask|pace|pause|periodic|place|rate_limit|room|route|routing|solitude|statements|throttle|throttle_bucket|transport|turns|version|smtp\/(advice|auth|bounce|capability|cause|command|content|deadline|dialogue|domain_limit|ending|gate|handover|limit|line|one_each|opening|outcome|outcome_advice|parts|path|preflight|redact|reply|session|tally|tls_advice|transaction|transaction_frame|trouble_advice|xtext)|delivery_report|explained_command|explained_mail|explanation|moment|csv|suppression_pass|suppression_scope|template_folder)\.ts$/,
    mayImport: ["domain", "pure relay"],
  },
  {
    // What relay and Worker share: the queue over a connection that is handed in, and what becomes of a mail.
    name: "core",
    files:
      /^relay\/(bounces|claim_rows|claimed_message|clock_watch|lease_statements|contents|crash|delivery|digest_closer|log|pause_table|place_record|queue|queue_statements|relay_row|safety|schema_state|settlement|settlement_input|shared_contents|settings\/(environment|kind|rates|routes|secret|settings_error|smtp_parameter_table|smtp_parameters|smtp_url)|smtp\/timers)\.ts$/,
    mayImport: ["domain", "pure relay", "core"],
  },
  {
    name: "edges",
    files:
      /^relay\/(adopt\/email_relay_table|advised_transport|config|connection_pool|database|depth|embedded|flight_log|inbox|inbox_directory|migrate|journal|numbered_files|ping|retention|rights_advice|schema|smtp_options|state_directory|throttle_table|throttles|settings\/(address_kind|bounces|describe|django_table|django_email|document|predecessor_names|route_certificates|route_settings|safety_settings|setting|table|unknown_name|database_url)|doctor\/\w+|http\/\w+|smtp\/(connection|link|pool|probe|slow_start|smtp)|explain_facts|batch_table|feedback_table|mail_parser|report_mail|suppression_copy|suppression_file|suppression_home|suppression_table|submitted_mail|stream_table|template_table)\.tsx?$/,
    mayImport: ["domain", "pure relay", "core", "edges"],
  },
  {
    name: "flow",
    files:
      /^relay\/(adopt\/adoption|counters|drain|flights|holdings|intake|journal_guard|listener|look|outage|pauses|place_guard|relay|releaser|report|replay|rest|route_line|route_lines|schema_guard|settler|skipped|station|suppression_copier|watch|witness|workers|batch_watch)\.ts$/,
    mayImport: ["domain", "pure relay", "core", "edges", "flow"],
  },
  {
    name: "worker",
    files: /^worker\/(?!worker\.|open_database\.)\w+\.ts$/,
    mayImport: ["domain", "client", "pure relay", "core", "worker"],
  },
  {
    name: "worker root",
    files: /^worker\/(worker|open_database)\.ts$/,
    mayImport: ["domain", "client", "pure relay", "core", "worker", "worker root"],
  },
  {
    name: "root",
    files: /^relay\/(launch|main|open_route|service|start_relay|playground|commands\/\w+)\.ts$/,
    mayImport: ["domain", "pure relay", "core", "edges", "flow", "root"],
  },
];

/** One library, one door: the files that may import it. Its types may be named by whoever is handed its objects. */
const DOORS: readonly (readonly [library: RegExp, door: RegExp, types?: RegExp])[] = [
  [/^valibot$/, /^src\/\w+\.ts$/],
  [
    /^postgres$/,
    /^(src\/drivers\/postgres|relay\/database|worker\/open_database)\.ts$/,
    /^relay\/(connection_pool|migrate|retention|commands\/\w+|doctor\/(database|pooler))\.ts$/,
  ],
  [/^@neondatabase\/serverless$/, /^src\/drivers\/neon\.ts$/],
  [/^worker-mailer$/, /^worker\/upstream\.ts$/],
  [/^hono(\/.*)?$/, /^relay\/http\/\w+\.tsx?$/],
  [/^postal-mime$/, /^relay\/mail_parser\.ts$/, /^relay\/(http\/read_mail|submitted_mail)\.ts$/],
  [/^smtp-server$/, /^relay\/inbox\.ts$/],
  [/^bun:sqlite$/, /^relay\/state_directory\.ts$/],
  [/^node:(net|tls)$/, /^relay\/(smtp\/connection|inbox|embedded)\.ts$/],
  [/^node:dns(\/promises)?$/, /^relay\/doctor\/host_name\.ts$/],
  [/^node:child_process$/, /^relay\/embedded\.ts$/],
  [
    /^node:(crypto|events|fs|fs\/promises|module|os|path|url|util)$/,
    /^relay\/(embedded|flight_log|http\/access|http\/style|inbox|inbox_directory|journal|numbered_files|schema|(doctor\/)?state_directory|playground|main|start_relay|commands\/command)\.ts$/,
  ],
];

type Tree = ReadonlyMap<string, string>;

interface Import {
  readonly from: string;
  readonly isType: boolean;
}

/** Every import and re-export of a file, those of types too. Statements begin a line; examples in comments do not. */
function importsOf(text: string): readonly Import[] {
  const statements = text.matchAll(
    /^(?:import|export)\s+(type\s)?(?:[^;"'`]*?\sfrom\s+)?"([^"]+)"|\bimport\(\s*"([^"]+)"/gm,
  );
  return [...statements].map(([, type, named, dynamic]) => ({
    from: (named ?? dynamic) as string,
    isType: type !== undefined,
  }));
}

/** Everything in a tree that the layers forbid, one sentence each. */
function faultsOf(tree: Tree): readonly string[] {
  const faults: string[] = [];
  const layersOf = (file: string) => LAYERS.filter(({ files }) => files.test(file));
  for (const [file, text] of tree) {
    const layers = layersOf(file);
    const [layer] = layers;
    if (file !== "mod.ts" && layers.length !== 1) faults.push(`${file} is in ${layers.length} layers`);
    for (const { from, isType } of importsOf(text)) {
      if (from.startsWith(".")) {
        const target = posix.join(posix.dirname(file), from);
        const [targetLayer] = layersOf(target);
        if (!tree.has(target)) faults.push(`${file} imports ${target}, which is not there`);
        const allowed = file === "mod.ts" ? ["domain", "client"] : layer?.mayImport ?? [];
        if (targetLayer !== undefined && !allowed.includes(targetLayer.name)) {
          faults.push(`${file} (${layer?.name ?? "public"}) imports ${target} (${targetLayer.name})`);
        }
      } else {
        const door = DOORS.find(([library]) => library.test(from));
        const [, code, types] = door ?? [];
        const mayImport = code?.test(file) === true || (isType && types?.test(file) === true);
        if (!mayImport) faults.push(`${file} imports ${from}${door === undefined ? ", which has no door" : ""}`);
      }
    }
    // Without comments and types; what a string says is not looked at more closely.
    const code = new Bun.Transpiler({ loader: "tsx" }).transformSync(text);
    if (file !== "relay/main.ts" && file !== "worker/worker.ts" && /\b(process|console)\.\w/.test(code)) {
      faults.push(`${file} uses process or the console`);
    }
    if (file === "mod.ts" && /[^\s]/.test(code.replaceAll(/^(export|import) \{[^}]*\} from "[^"]*";$/gm, ""))) {
      faults.push("mod.ts does more than re-export");
    }
  }
  return faults;
}

const ROOT = join(import.meta.dir, "..");

async function readTree(): Promise<Tree> {
  const files = [...new Glob("{src,relay,worker}/**/*.{ts,tsx}").scanSync(ROOT), "mod.ts"].sort();
  return new Map(
    await Promise.all(files.map(async (file) => [file, await Bun.file(join(ROOT, file)).text()] as const)),
  );
}

test("every file is in one layer and imports only downwards, outside libraries only through their door", async () => {
  const tree = await readTree();
  expect(tree.size).toBeGreaterThan(80);
  expect(faultsOf(tree)).toEqual([]);
});

/** One forbidden line each, and the fault that it must be. */
const FORBIDDEN: readonly (readonly [file: string, line: string, fault: string])[] = [
  ["src/address.ts", 'import { x } from "./client.ts";', "src/address.ts (domain) imports src/client.ts (client)"],
  [
    "src/mime/compose.ts",
    'import type { x } from "../../relay/queue.ts";',
    "src/mime/compose.ts (domain) imports relay/queue.ts (core)",
  ],
  ["src/client.ts", 'import "../relay/routing.ts";', "src/client.ts (client) imports relay/routing.ts (pure relay)"],
  [
    "relay/routing.ts",
    'import {\n  x,\n} from "./queue.ts";',
    "relay/routing.ts (pure relay) imports relay/queue.ts (core)",
  ],
  ["relay/queue.ts", 'export { x } from "./workers.ts";', "relay/queue.ts (core) imports relay/workers.ts (flow)"],
  ["relay/workers.ts", 'const x = await import("./main.ts");', "relay/workers.ts (flow) imports relay/main.ts (root)"],
  ["relay/relay.ts", 'import { x } from "../src/client.ts";', "relay/relay.ts (flow) imports src/client.ts (client)"],
  ["mod.ts", 'export { x } from "./relay/routing.ts";', "mod.ts (public) imports relay/routing.ts (pure relay)"],
  ["mod.ts", "export const x = 1;", "mod.ts does more than re-export"],
  ["src/address.ts", 'import { x } from "./missing.ts";', "src/address.ts imports src/missing.ts, which is not there"],
  ["relay/queue.ts", 'import postgres from "postgres";', "relay/queue.ts imports postgres"],
  ["relay/workers.ts", 'import type { Sql } from "postgres";', "relay/workers.ts imports postgres"],
  ["relay/smtp/session.ts", 'import { connect } from "node:net";', "relay/smtp/session.ts imports node:net"],
  ["relay/workers.ts", 'import { join } from "node:path";', "relay/workers.ts imports node:path"],
  ["src/uuid.ts", 'import { x } from "left-pad";', "src/uuid.ts imports left-pad, which has no door"],
  ["relay/log.ts", "console.log(1);", "relay/log.ts uses process or the console"],
  ["relay/service.ts", "const x = process.env.X;", "relay/service.ts uses process or the console"],
  ["relay/utils.ts", "export const x = 1;", "relay/utils.ts is in 0 layers"],
];

test("each kind of forbidden line is found, and nothing else with it", async () => {
  const tree = await readTree();
  for (const [file, line, fault] of FORBIDDEN) {
    const changed = new Map(tree).set(file, `${tree.get(file) ?? ""}\n${line}\n`);
    expect({ line, faults: faultsOf(changed) }).toEqual({ line, faults: [fault] });
  }
});

test("no file is in two layers", () => {
  for (const file of ["src/client.ts", "relay/queue.ts", "relay/routing.ts", "relay/main.ts", "relay/relay.ts"]) {
    expect(LAYERS.filter(({ files }) => files.test(file))).toHaveLength(1);
  }
});

test("tsconfig.edge.json compiles the domain, the client without its drivers, the pure relay, the core and the Worker without its root: all of it and nothing else", async () => {
  const tsc = Bun.spawn([
    join(ROOT, "node_modules/.bin/tsc"),
    "-p",
    join(ROOT, "tsconfig.edge.json"),
    "--listFilesOnly",
  ], {
    stdout: "pipe",
  });
  const listed = (await new Response(tsc.stdout).text()).split("\n").map((line) => line.trim())
    .filter((line) => line !== "" && !line.includes("node_modules")).map((line) => posix.relative(ROOT, line)).sort();
  const wanted = [...(await readTree()).keys()].filter((file) =>
    file === "mod.ts" ||
    LAYERS.some(({ name, files }) =>
      ["domain", "client", "pure relay", "core", "worker"].includes(name) && files.test(file)
    )
  ).filter((file) => !file.startsWith("src/drivers/")).sort();
  expect(listed).toEqual(wanted);
});
