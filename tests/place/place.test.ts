import { expect, test } from "bun:test";
import { addressOf, differenceOf, type PresentPlace, type RememberedPlace } from "../../relay/place/place.ts";

const HOME = "db.example.com:5432/shop";
const REMEMBERED: RememberedPlace = { system: "7001", database: "16384", addresses: [HOME, "localhost:15432/shop"] };
const PRESENT: PresentPlace = { system: "7001", database: "16384", address: HOME, isSameRun: true };

/** The table of docs/running.md: what is so, what the relay sees, and what it makes of it. */
const CASES: readonly (readonly [what: string, change: Partial<PresentPlace>, difference: RegExp | undefined])[] = [
  ["nothing has changed", {}, undefined],
  ["the server was started again", { isSameRun: false }, undefined],
  ["a tunnel, or another name, to the same server", { address: "localhost:9999/shop" }, undefined],
  ["a name by which it was reached before", { address: "localhost:15432/shop", isSameRun: false }, undefined],
  ["the database was renamed", { address: "db.example.com:5432/store" }, undefined],
  ["the role may not ask for the cluster", { system: undefined }, undefined],
  ["a template copy, or a dump restored beside it", { database: "16999" }, /another database of the same cluster/],
  ["the same, at the old address", { database: "16999", isSameRun: false }, /another database of the same cluster/],
  ["a dump restored elsewhere", { system: "7002", database: "16999", isSameRun: false }, /another cluster/],
  [
    "a dump restored elsewhere, by chance with the same number",
    { system: "7002", isSameRun: false },
    /another cluster/,
  ],
  [
    "a promoted replica, a snapshot, a branch",
    { address: "branch.example.com:5432/shop", isSameRun: false },
    /on another server, or at another address: branch\.example\.com:5432\/shop/,
  ],
  ["a copy, where the role may not ask for the cluster", { system: undefined, database: "16999" }, /another database/],
];

test.each(CASES)("%s", (_, change, difference) => {
  const found = differenceOf(REMEMBERED, { ...PRESENT, ...change });
  if (difference === undefined) expect(found).toBeUndefined();
  else expect(found).toMatch(difference);
});

test("two addresses are the same when only user, password, parameters or the name of the pooler or of this machine differ", () => {
  const same: readonly (readonly string[])[] = [
    [
      "postgres://a:b@DB.example.com/shop",
      "postgresql://c@db.example.com.:5432/shop?sslmode=require",
    ],
    [
      "postgres://a@ep-cool-1-pooler.eu-central-1.aws.neon.tech/shop",
      "postgres://a@ep-cool-1.eu-central-1.aws.neon.tech/shop",
    ],
    [
      "postgres://localhost/a%20b",
      "postgres://127.0.0.1/a%20b",
      "postgres://[::1]:5432/a%20b",
      "postgres://127.0.1.1/a b",
    ],
    ["postgres:///shop?host=/run/postgresql", "postgres:///shop?host=/run/postgresql&sslmode=disable"],
  ];
  for (const urls of same) expect(new Set(urls.map(addressOf)).size).toBe(1);
  const different = [
    ...same.map(([url]) => url as string),
    "postgres://db.example.com:5433/shop",
    "postgres://db.example.com/shop2",
  ];
  expect(new Set(different.map(addressOf)).size).toBe(different.length);
});
