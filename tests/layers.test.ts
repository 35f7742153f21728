import { Glob } from "bun";
import { expect, test } from "bun:test";
import { join, posix } from "node:path";

// The layers of the house. A file is in exactly one, and imports only from its own and from those that are named beside
// it.

interface Layer {
  readonly name: string;
  /** Globs; one that begins with `!` takes out again. */
  readonly files: readonly string[];
  readonly mayImport: readonly string[];
}

const LAYERS: readonly Layer[] = [
  {
    name: "domain",
    files: [
      "src/*.ts",
      "!src/{client,connection,follow_up,mailer,send_many,wait}.ts",
      "src/mime/*.ts",
    ],
    mayImport: ["domain"],
  },
  {
    name: "client",
    files: [
      "src/{client,connection,follow_up,mailer,send_many,wait}.ts",
      "src/drivers/*.ts",
      "src/nodemailer/*.ts",
      "src/testing/*.ts",
    ],
    mayImport: ["domain", "client"],
  },
  {
    name: "pure relay",
    files: [
      "relay/{csv,error_code,mask,optional_packages,version}.ts",
      "relay/adopt/django_payload.ts",
      "relay/database/{server_address,statements}.ts",
      "relay/delivery/{mail_content,solitude,transport}.ts",
      "relay/drain/{bell,lane_floors,lane_order,lane_shares,pace,room,turns}.ts",
      "relay/explain/{explained_command,explained_mail,explanation}.ts",
      "relay/journal/{memory,record}.ts",
      "relay/limits/{pause,rate_limit,throttle,throttle_bucket}.ts",
      "relay/mail/delivery_report.ts",
      "relay/place/place.ts",
      "relay/queue/lease.ts",
      "relay/routes/{breaker,route,routing}.ts",
      "relay/smtp/{advice,auth,bounce,capability,cause,command,content,deadline,dialogue,domain_limit,ending,gate,handover,limit,line,one_each,opening,outcome,outcome_advice,parts,path,peer_certificate,preflight,redact,reply,session,tally,tls_advice,transaction,transaction_frame,trouble_advice,xtext}.ts",
      "relay/suppression/{pass,rule,scope}.ts",
      "relay/templates/template_folder.ts",
      "relay/time/*.ts",
    ],
    mayImport: ["domain", "pure relay"],
  },
  {
    // What relay and Worker share: the queue over a connection that is handed in, and what becomes of a mail.
    name: "core",
    files: [
      "relay/database/{clock_watch,schema_state}.ts",
      "relay/delivery/{contents,delivery,safety,shared_contents}.ts",
      "relay/limits/pause_table.ts",
      "relay/log.ts",
      "relay/place/place_record.ts",
      "relay/queue/{claim_rows,claimed_message,crash,digest_closer,lease_statements,queue,queue_statements,relay_row,settlement,settlement_input}.ts",
      "relay/settings/{certificate_files,environment,kind,rates,routes,secret,settings_error,smtp_parameter_table,smtp_parameters,smtp_url,together,url_source}.ts",
      "relay/smtp/timers.ts",
      "relay/suppression/bounces.ts",
    ],
    mayImport: ["domain", "pure relay", "core"],
  },
  {
    name: "edges",
    files: [
      "relay/{config,ping}.ts",
      "relay/adopt/email_relay_table.ts",
      "relay/database/{connection_pool,database,embedded,migrate,retention,rights_advice,schema,server_options}.ts",
      "relay/delivery/advised_transport.ts",
      "relay/doctor/*.ts",
      "relay/explain/facts.ts",
      "relay/http/*.ts{,x}",
      "relay/journal/{flight_log,journal,numbered_files,state_directory}.ts",
      "relay/limits/{depth,throttle_table,throttles}.ts",
      "relay/mail/{feedback_table,inbox,inbox_directory,mail_parser,report_mail,submitted_mail}.ts",
      "relay/queue/{batch_table,state_counts,stream_table}.ts",
      "relay/settings/{address_kind,bounces,certificates,database_tls,database_url,describe,django_email,django_table,help,predecessor_names,route_settings,safety_settings,setting,smtp_options,table,unknown_name}.ts",
      "relay/smtp/{connection,link,pool,probe,slow_start,smtp,turn_end}.ts",
      "relay/suppression/{copy,file,home,table}.ts",
      "relay/templates/template_table.ts",
    ],
    mayImport: ["domain", "pure relay", "core", "edges"],
  },
  {
    name: "flow",
    files: [
      "relay/{relay,station,watch}.ts",
      "relay/adopt/adoption.ts",
      "relay/database/schema_guard.ts",
      "relay/delivery/{counters,flights,holdings,releaser,report,settler,skipped,workers}.ts",
      "relay/drain/{drain,intake,listener,look,outage,rest}.ts",
      "relay/journal/{guard,replay,witness}.ts",
      "relay/limits/{batch_watch,pauses}.ts",
      "relay/place/place_guard.ts",
      "relay/routes/{route_line,route_lines}.ts",
      "relay/suppression/copier.ts",
    ],
    mayImport: ["domain", "pure relay", "core", "edges", "flow"],
  },
  {
    name: "worker",
    files: [
      "worker/*.ts",
      "!worker/{open_database,worker}.ts",
    ],
    mayImport: ["domain", "client", "pure relay", "core", "worker"],
  },
  {
    name: "worker root",
    files: [
      "worker/{open_database,worker}.ts",
    ],
    mayImport: ["domain", "client", "pure relay", "core", "worker", "worker root"],
  },
  {
    name: "root",
    files: [
      "relay/{launch,main,playground,service,start_relay}.ts",
      "relay/commands/*.ts",
      "relay/routes/open_route.ts",
    ],
    mayImport: ["domain", "pure relay", "core", "edges", "flow", "root"],
  },
];

/** One library, one door: the files that may import it. Its types may be named by whoever is handed its objects. */
const DOORS: readonly (readonly [library: RegExp, door: readonly string[], types?: readonly string[]])[] = [
  [/^valibot$/, ["src/*.ts"]],
  [
    /^postgres$/,
    ["src/drivers/postgres.ts", "relay/database/database.ts", "worker/open_database.ts"],
    [
      "relay/database/{connection_pool,migrate,retention,server_options}.ts",
      "relay/commands/*.ts",
      "relay/doctor/{database,pooler}.ts",
    ],
  ],
  [/^@neondatabase\/serverless$/, ["src/drivers/neon.ts"]],
  [/^worker-mailer$/, ["worker/upstream.ts"]],
  [/^hono(\/.*)?$/, ["relay/http/*.ts{,x}"]],
  [/^postal-mime$/, ["relay/mail/mail_parser.ts"], ["relay/http/read_mail.ts", "relay/mail/submitted_mail.ts"]],
  [/^smtp-server$/, ["relay/mail/inbox.ts"]],
  [/^bun:sqlite$/, ["relay/journal/state_directory.ts"]],
  [/^node:(net|tls)$/, ["relay/smtp/connection.ts", "relay/mail/inbox.ts", "relay/database/embedded.ts"]],
  [/^node:dns(\/promises)?$/, ["relay/doctor/host_name.ts"]],
  [/^node:child_process$/, ["relay/database/embedded.ts"]],
  [
    /^node:(crypto|events|fs|fs\/promises|module|os|path|url|util)$/,
    [
      "relay/{main,playground,start_relay}.ts",
      "relay/commands/{command,command_line,files}.ts",
      "relay/database/{embedded,schema}.ts",
      "relay/doctor/state_directory.ts",
      "relay/http/{access,style}.ts",
      "relay/journal/{flight_log,journal,numbered_files,state_directory}.ts",
      "relay/mail/{inbox,inbox_directory}.ts",
    ],
  ],
];

const GLOBS = LAYERS.map((layer) => ({ layer, isIn: matcher(layer.files) }));

function matcher(patterns: readonly string[]): (file: string) => boolean {
  const globs = patterns.filter((pattern) => !pattern.startsWith("!")).map((pattern) => new Glob(pattern));
  const others = patterns.filter((pattern) => pattern.startsWith("!")).map((pattern) => new Glob(pattern.slice(1)));
  return (file) => globs.some((glob) => glob.match(file)) && !others.some((glob) => glob.match(file));
}

function layersOf(file: string): readonly Layer[] {
  return GLOBS.filter(({ isIn }) => isIn(file)).map(({ layer }) => layer);
}

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
        const [, code = [], types = []] = door ?? [];
        const mayImport = matcher(code)(file) || (isType && matcher(types)(file));
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
    'import type { x } from "../../relay/queue/queue.ts";',
    "src/mime/compose.ts (domain) imports relay/queue/queue.ts (core)",
  ],
  [
    "src/client.ts",
    'import "../relay/routes/routing.ts";',
    "src/client.ts (client) imports relay/routes/routing.ts (pure relay)",
  ],
  [
    "relay/routes/routing.ts",
    'import {\n  x,\n} from "../queue/queue.ts";',
    "relay/routes/routing.ts (pure relay) imports relay/queue/queue.ts (core)",
  ],
  [
    "relay/queue/queue.ts",
    'export { x } from "../delivery/workers.ts";',
    "relay/queue/queue.ts (core) imports relay/delivery/workers.ts (flow)",
  ],
  [
    "relay/delivery/workers.ts",
    'const x = await import("../main.ts");',
    "relay/delivery/workers.ts (flow) imports relay/main.ts (root)",
  ],
  ["relay/relay.ts", 'import { x } from "../src/client.ts";', "relay/relay.ts (flow) imports src/client.ts (client)"],
  [
    "mod.ts",
    'export { x } from "./relay/routes/routing.ts";',
    "mod.ts (public) imports relay/routes/routing.ts (pure relay)",
  ],
  ["mod.ts", "export const x = 1;", "mod.ts does more than re-export"],
  ["src/address.ts", 'import { x } from "./missing.ts";', "src/address.ts imports src/missing.ts, which is not there"],
  ["relay/queue/queue.ts", 'import postgres from "postgres";', "relay/queue/queue.ts imports postgres"],
  ["relay/delivery/workers.ts", 'import type { Sql } from "postgres";', "relay/delivery/workers.ts imports postgres"],
  ["relay/smtp/session.ts", 'import { connect } from "node:net";', "relay/smtp/session.ts imports node:net"],
  ["relay/delivery/workers.ts", 'import { join } from "node:path";', "relay/delivery/workers.ts imports node:path"],
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
  for (
    const file of [
      "src/client.ts",
      "relay/queue/queue.ts",
      "relay/routes/routing.ts",
      "relay/main.ts",
      "relay/relay.ts",
    ]
  ) {
    expect(layersOf(file)).toHaveLength(1);
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
    layersOf(file).some(({ name }) => ["domain", "client", "pure relay", "core", "worker"].includes(name))
  ).filter((file) => !file.startsWith("src/drivers/")).sort();
  expect(listed).toEqual(wanted);
});
