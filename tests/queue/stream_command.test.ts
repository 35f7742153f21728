import { expect, test } from "bun:test";
import { createDatabase } from "../database.ts";
import { connectAs, newRole } from "../schema/role.ts";
import { on, run } from "../command.ts";

const PRESETS = [
  ["alert", "all", "high", "1d", "5s 15s 30s 1m 5m 15m", "retry", "yes"],
  ["bulk", "all", "low", "3d", "15m 30m 1h 2h 4h 8h", "", "yes"],
  ["otp", "all", "high", "10m", "5s 15s 30s 1m", "retry", "no"],
  ["transactional", "all", "normal", "", "", "", "yes"],
];

test(
  "stream lists the presets, changes one setting and leaves the others, makes streams and removes them",
  async () => {
    await using database = await createDatabase();
    await database.sql`insert into mailchute.app (name, senders) values ('shop', '{*}')`;
    const env = on(database);
    const list = async (...words: readonly string[]) =>
      (await run(["stream", ...words], env)).stdout.trimEnd().split("\n").map((line) => line.trim().split(/ {2,}/));
    const [head, ...rows] = await list();
    expect(head).toEqual(["stream", "for", "priority", "expires", "backoff", "on uncertain", "digest"]);
    expect(rows).toEqual(PRESETS.map((cells) => cells.filter((cell) => cell !== "")));

    const told = async (...words: readonly string[]) => {
      const { code, stdout, stderr } = await run(["stream", ...words], env);
      expect(stdout).toBe("");
      return [code, stderr.trimEnd().replace(/ on \S+?([:.])(?=\s|$)/, " on it$1")];
    };
    expect(await told("otp", "--expires", "5m", "--on-uncertain", "none")).toEqual([
      0,
      "Changed the stream otp of all apps on it: priority high, expires after 5m, waits 5s 15s 30s 1m, on uncertain none, digest no.",
    ]);
    expect(await told("codes", "--priority", "high", "--backoff", "10s, 2m", "--digest", "no")).toEqual([
      0,
      "Made the stream codes of all apps on it: priority high, expires after none, waits 10s 2m, on uncertain none, digest no.",
    ]);
    // It begins as that of all.
    expect(await told("codes", "--app", "shop", "--expires", "1h")).toEqual([
      0,
      "Made the stream codes of the app shop on it: priority high, expires after 1h, waits 10s 2m, on uncertain none, digest no.",
    ]);
    const json = JSON.parse((await run(["stream", "codes", "--json"], env)).stdout);
    expect(json).toMatchObject([
      { name: "codes", scope: "all", priority: "high", backoff: ["10s", "2m"], digest: false, changedBy: "postgres" },
      { name: "codes", scope: "app:shop", priority: "high", expires: "1h" },
    ]);
    expect(json[0].expires).toBeUndefined();
    expect((await list("--app", "shop")).slice(1)).toEqual([
      ["codes", "app:shop", "high", "1h", "10s 2m", "no"],
    ]);

    expect(await told("codes", "--remove")).toEqual([0, "Removed the settings of the stream codes of all apps on it."]);
    expect(await told("codes", "--remove")).toEqual([
      1,
      "There are no settings of the stream codes of all apps on it.",
    ]);
    expect(await told("codes", "--remove", "--app", "shop")).toEqual([
      0,
      "Removed the settings of the stream codes of the app shop on it.",
    ]);
    expect(await told("codes")).toEqual([0, "The stream codes has no settings: it is a name."]);
  },
  60_000,
);

test("stream makes no settings for an app that is not there, where they would hold for nobody", async () => {
  await using database = await createDatabase();
  const set = async (app: string) => await run(["stream", "otp", "--app", app, "--expires", "5m"], on(database));
  const { code, stderr } = await set("shpo");
  expect(code).toBe(1);
  expect(stderr).toContain("There is no app shpo on ");
  expect(stderr).toContain("mailchute grants ROLE --app shpo makes it");
  expect(await database.sql`select from mailchute.stream where scope <> 'all'`).toHaveLength(0);
  // The owner of the schema sends as the app of its own name.
  expect((await set("postgres")).code).toBe(0);
});

test("an admin changes streams, a viewer only reads them", async () => {
  await using database = await createDatabase();
  const as = async (group: string, ...words: readonly string[]) => {
    const role = newRole();
    await using _made = await connectAs(database, role);
    await database.sql.unsafe(`grant ${group} to ${role}`);
    return await run(["stream", ...words], { DATABASE_URL: await database.as(role) });
  };
  expect((await as("mailchute_admin", "otp", "--expires", "5m")).code).toBe(0);
  expect((await as("mailchute_viewer", "otp")).stdout).toContain(" 5m ");
  const refused = await as("mailchute_viewer", "otp", "--remove");
  expect({ code: refused.code, stderr: refused.stderr }).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("permission denied for table stream"),
  });
});

test.each([
  [["Otp"], "Otp is no stream: 1 to 63 of a-z 0-9 . _ -"],
  [["otp", "bulk"], "Unexpected argument 'bulk'"],
  [["--priority", "high"], "--priority needs the name of a stream"],
  [["--remove"], "--remove needs the name of a stream"],
  [["otp", "--remove", "--expires", "1m"], "--remove takes no --expires"],
  [["otp", "--expires", "1m", "--json"], "--json is for the list"],
  [["otp", "--priority", "urgent"], "--priority urgent is none of high, normal, low, none"],
  [["otp", "--expires", "10"], "--expires 10 is no time of 1s to 31d"],
  [["otp", "--expires", "32d"], "--expires 32d is no time of 1s to 31d"],
  [["otp", "--expires", "1500ms"], "--expires 1500ms is no time of 1s to 31d"],
  [["otp", "--backoff", "5s"], "the last at least 1m since it repeats"],
  [["otp", "--backoff", "5s soon 1m"], "--backoff 5s soon 1m is not 1 to 20 times"],
  [["otp", "--backoff", " "], "--backoff is empty: say which"],
  [["otp", "--backoff", "2d"], "is not 1 to 20 times"],
  [["otp", "--backoff", "1m ".repeat(21)], "is not 1 to 20 times"],
  [["otp", "--on-uncertain", "ask"], "--on-uncertain ask is none of retry, hold, none"],
  [["otp", "--digest", "maybe"], "--digest maybe is none of yes, no, none"],
  [["otp", "--app", ""], "--app is empty: say which"],
])("stream %j is a usage error that says why", async (words, says) => {
  const { code, stderr } = await run(["stream", ...words]);
  expect(code).toBe(2);
  expect(stderr).toContain(says);
});
