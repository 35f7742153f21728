import { expect, test } from "bun:test";
import { join } from "node:path";
import { createDatabase } from "../database.ts";
import { temporaryDirectory } from "../relay_process.ts";
import { describeMessage, enqueue } from "../relay.ts";
import { on, run } from "../command.ts";

test("suppress puts addresses on the list in lower case, and what is enqueued for them then is suppressed", async () => {
  await using database = await createDatabase();
  const first = await run(
    ["suppress", "Ann@Example.com", "bob@example.com", "--reason", "complaint", "--until", "30d"],
    on(database),
  );
  expect({ code: first.code, stdout: first.stdout }).toEqual({ code: 0, stdout: "" });
  expect(first.stderr).toMatch(/^2 put on the suppression list of .* \(all: complaint\)\n$/);
  const again = await run(["suppress", "ANN@example.com", "--reason", "bounce"], on(database));
  expect(again.stderr).toContain("0 put on the suppression list");
  expect(again.stderr).toContain("1 were there and have the new reason and end");
  const rows = await database.sql`
    select address, scope, reason, until - created_at > interval '29 days' as "endsLater", created_by as by from mailchute.suppression order by 1`;
  expect([...rows]).toEqual([
    { address: "ann@example.com", scope: "all", reason: "bounce", endsLater: null, by: "postgres" },
    { address: "bob@example.com", scope: "all", reason: "complaint", endsLater: true, by: "postgres" },
  ]);
  expect((await describeMessage(database, await enqueue(database, { to: "aNN@example.com" }))).state).toBe(
    "suppressed",
  );
});

test(
  "suppress --list shows and pages, --remove takes off in one scope or in all, and says what was not there",
  async () => {
    await using database = await createDatabase();
    for (const scope of ["all", "app:shop", "stream:bulk"]) {
      await run(["suppress", "ann@example.com", "--scope", scope], on(database));
    }
    await run(["suppress", "bob@example.com"], on(database));
    const list = async (...words: readonly string[]) => {
      const { stdout } = await run(["suppress", "--list", "--json", ...words], on(database));
      return (JSON.parse(stdout) as readonly { address: string; scope: string }[]).map(({ address, scope }) =>
        `${address} ${scope}`
      );
    };
    const all = [
      "ann@example.com all",
      "ann@example.com app:shop",
      "ann@example.com stream:bulk",
      "bob@example.com all",
    ];
    expect(await list()).toEqual(all);
    expect(await list("Bob@example.com")).toEqual(all.slice(3));
    expect(await list("--scope", "app:shop")).toEqual(all.slice(1, 2));
    expect(await list("--limit", "3")).toEqual(all.slice(0, 3));
    // Never a part of what there is of an address: --after goes on behind the whole of it.
    expect(await list("--limit", "1")).toEqual(all.slice(0, 3));
    expect(await list("--after", "ann@example.com")).toEqual(all.slice(3));
    const text = await run(["suppress", "--list", "--limit", "1"], on(database));
    expect(text.stdout).toMatch(
      /^address +scope +reason +until +since +by +copied from\nann@example.com +all +manual +\d/,
    );
    expect(text.stderr).toContain("--after ann@example.com");

    const one = await run(["suppress", "--remove", "Ann@example.com", "--scope", "app:shop"], on(database));
    expect(one).toEqual({ code: 0, stdout: "ann@example.com: removed from app:shop\n", stderr: "" });
    const rest = await run(["suppress", "--remove", "ann@example.com", "carl@example.com"], on(database));
    expect({ code: rest.code, stderr: rest.stderr }).toEqual({
      code: 1,
      stderr: "carl@example.com was not on the list.\n",
    });
    expect(await list()).toEqual(all.slice(3));
    expect((await run(["suppress", "--list", "x@example.com"], on(database))).stderr).toContain(
      "Nobody on the list matches",
    );
  },
  60_000,
);

test("what relays have copied from home is listed as that, taken off there only, and in no export", async () => {
  await using database = await createDatabase();
  await database.sql`insert into mailchute.suppression_copy (origin, home) values ('0197', 'db.example.com/home')`;
  await database.sql`
    insert into mailchute.suppression (address, reason, origin)
    values ('ann@example.com', 'bounce', '0197'), ('ann@example.com', 'manual', 'here'), ('bob@example.com', 'bounce', '0197')`;
  const listed = await run(["suppress", "--list"], on(database));
  expect(listed.stdout.split("\n").filter((line) => line.endsWith("  db.example.com/home"))).toHaveLength(2);
  const json = async (...words: readonly string[]) => {
    const { stdout } = await run(["suppress", "--list", "--json", ...words], on(database));
    return (JSON.parse(stdout) as readonly { address: string; copyOf?: string }[]).map((
      row,
    ) => [row.address, row.copyOf]);
  };
  expect(await json()).toEqual([["ann@example.com", "db.example.com/home"], ["ann@example.com", undefined], [
    ...["bob@example.com", "db.example.com/home"],
  ]]);
  expect(await json("--limit", "1", "--after", "ann@example.com")).toEqual([[
    "bob@example.com",
    "db.example.com/home",
  ]]);
  const { stdout } = await run(["suppress", "--export"], on(database));
  expect(stdout.trim().split("\n").slice(1)).toEqual([expect.stringMatching(/^ann@example.com,all,manual/)]);
  const removed = await run(["suppress", "--remove", "ann@example.com", "bob@example.com"], on(database));
  expect(removed).toEqual({
    code: 1,
    stdout: "ann@example.com: removed from all\n",
    stderr: ["ann", "bob"].map((name) =>
      `${name}@example.com is on the list of db.example.com/home, whose relays have copied it: take it off there.\n`
    ).join(""),
  });
  expect(await json()).toHaveLength(2);
}, 60_000);

test("who suppresses an address for all in a database that is no home is told that it holds there", async () => {
  await using home = await createDatabase();
  await using shop = await createDatabase();
  const env = { ...on(home), DATABASE_URL_SHOP: shop.url };
  const there = await run(["suppress", "ann@example.com", "--database", "shop"], env);
  expect(there.stderr).toContain("it holds in this database: what is to hold in all");
  for (const words of [["bob@example.com"], ["carl@example.com", "--scope", "app:shop", "--database", "shop"]]) {
    expect((await run(["suppress", ...words], env)).stderr).not.toContain("it holds in this database");
  }
  expect([...await home.sql`select address from mailchute.suppression`]).toEqual([{ address: "bob@example.com" }]);
}, 60_000);

test("who suppresses an address for an app that there is not is told so, and who mistypes nothing is not", async () => {
  await using database = await createDatabase();
  const told = async (scope: string) =>
    (await run(["suppress", "ann@example.com", "--scope", scope], on(database))).stderr.split("\n").slice(1).join("\n");
  expect(await told("app:shop")).toContain("app:shop is none of the apps of this database (there is none yet)");
  await database.sql`insert into mailchute.app (name, senders) values ('shop', '{*}')`;
  expect(await told("app:shop")).toBe("");
  expect(await told("stream:bulk")).toBe("");
  expect(await told("app:shpo")).toContain("app:shpo is none of the apps of this database (there are shop)");
});

test("a file that was exported is imported as it was, by its name or from stdin", async () => {
  await using database = await createDatabase();
  await using other = await createDatabase();
  await database.sql`
    insert into mailchute.suppression (address, scope, reason, until)
    select 'u' || i || '@example.com', case i % 2 when 0 then 'all' else 'app:shop' end, 'bounce', case when i % 3 = 0 then now() + interval '1 day' end
    from generate_series(1, 12000) i`;
  const exported = await run(["suppress", "--export"], on(database));
  expect({ code: exported.code, stderr: exported.stderr }).toEqual({ code: 0, stderr: "" });
  expect(exported.stdout.split("\n", 1)).toEqual(["address,scope,reason,until,created_at,created_by"]);
  const imported = await run(["suppress", "--import", "-"], on(other), exported.stdout);
  expect(imported.stderr).toContain("12000 put on the suppression list");
  const rows = (sql: typeof database.sql) =>
    sql`
    select address, scope, reason, date_trunc('milliseconds', until) as until, date_trunc('milliseconds', created_at) as created_at
    from mailchute.suppression order by address, scope`;
  expect([...await rows(other.sql)]).toEqual([...await rows(database.sql)]);
  using folder = temporaryDirectory();
  const path = join(folder.path, "list.csv");
  await Bun.write(path, exported.stdout);
  const again = await run(["suppress", "--import", path], on(other));
  expect(again.stderr).toContain("0 put on the suppression list");
  expect(again.stderr).toContain("12000 were there");
}, 60_000);

test("a file that gives no reason changes none, and shortens nothing", async () => {
  await using database = await createDatabase();
  await database.sql`
    insert into mailchute.suppression (address, reason, until) values
    ('complaint@example.com', 'complaint', null), ('gone@example.com', 'bounce', now() + interval '30 days')`;
  const file = "address\ncomplaint@example.com\ngone@example.com\nnew@example.com\n";
  for (const options of [["--until", "1d"], []]) {
    const ran = await run(["suppress", "--import", "-", ...options], on(database), file);
    expect(ran.code).toBe(0);
    const rows = await database.sql`
      select address, reason, (until - now() > interval '29 days') as long, until is null as "forGood" from mailchute.suppression order by 1`;
    const isLast = options.length === 0;
    expect([...rows]).toEqual([
      { address: "complaint@example.com", reason: "complaint", long: null, forGood: true },
      { address: "gone@example.com", reason: "bounce", long: isLast ? null : true, forGood: isLast },
      { address: "new@example.com", reason: "manual", long: isLast ? null : false, forGood: isLast },
    ]);
  }
});

test("a file of another program: its column email, its order, quotes, one reason for all, the same address twice", async () => {
  await using database = await createDatabase();
  const text =
    '\uFEFFstatus,"reason",Email,created\r\n5.0.0,"550, ""no"" such user",Ann@Example.com,2026-01-02\r\n,,ann@example.COM,\r\n';
  const ran = await run(["suppress", "--import", "-", "--reason", "bounce", "--scope", "app:shop"], on(database), text);
  expect({ code: ran.code, stderr: ran.stderr.includes("1 put on") }).toEqual({ code: 0, stderr: true });
  expect([...await database.sql`select address, scope, reason from mailchute.suppression`]).toEqual([
    { address: "ann@example.com", scope: "app:shop", reason: "bounce" },
  ]);
});

test("a file with faults names their lines and imports nothing; --skip-invalid leaves these lines out", async () => {
  await using database = await createDatabase();
  const text = [
    "address,reason,scope,until",
    ...[
      "ann@example.com,,,",
      "nobody,,,",
      "bob@example.com,550 gone,,",
      "c@example.com,,shop,",
      "d@example.com,,,soon",
    ],
    ...Array.from({ length: 10 }, () => ",,,"),
  ].join("\n");
  const refused = await run(["suppress", "--import", "-"], on(database), text);
  expect({ code: refused.code, stdout: refused.stdout }).toEqual({ code: 1, stdout: "" });
  for (
    const says of [
      '- line 3: "nobody" is no mail',
      '- line 4: the reason "550 gone"',
      '- line 5: the scope "shop"',
      '- line 6: until "soon"',
    ]
  ) {
    expect(refused.stderr).toContain(says);
  }
  expect(refused.stderr).toContain("and 4 lines more\nNothing was imported");
  expect(await database.sql`select from mailchute.suppression`).toHaveLength(0);
  const skipped = await run(["suppress", "--import", "-", "--skip-invalid"], on(database), text);
  expect(skipped.code).toBe(0);
  expect(skipped.stderr).toContain("1 put on the suppression list");
  expect(skipped.stderr).toContain("14 lines left out");
});

test("what is no file, no CSV, no UTF-8 or has no column of addresses is refused in one sentence", async () => {
  await using database = await createDatabase();
  const of = async (stdin: string | Uint8Array<ArrayBuffer>, path = "-") =>
    (await run(["suppress", "--import", path], on(database), stdin)).stderr.split("\n")[0];
  expect(await of("", "/nonexistent.csv")).toBe("Cannot read /nonexistent.csv: there is no such file");
  expect(await of("", import.meta.dir)).toBe(`Cannot read ${import.meta.dir}: it is a folder`);
  expect(await of("")).toBe(
    "Cannot read -: the file is empty: its first line names the columns, such as address,reason",
  );
  expect(await of("ann@example.com\n")).toBe(
    "Cannot read -: the first line names no column address (or email): it has ann@example.com",
  );
  expect(await of(new Uint8Array([0x61, 0xff, 0x0a]))).toBe("Cannot read -: the file is not in UTF-8");
  expect(await of('address\n"ann@example.com\n')).toBe("Cannot read -: line 2 has a quote that is not closed");
}, 60_000);
