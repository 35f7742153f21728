import { expect, test } from "bun:test";
import { createDatabase } from "../database.ts";
import { type Prng, prng } from "../mime/prng.ts";

// enqueue_v1 asks `is_plain` first, in one pass, and only what that does not know goes through the checks that name
// every fault.

type Values = readonly unknown[];

const label = (length: number) => "d".repeat(length);
const CONTROLS = ["a\nb", "a\rb", "\u0001", "a\u001f", "a\u007fb", "a\tb"] as const;

/** Good ones and bad ones, and what stands at each limit. */
const EMAILS: Values = [
  "a@b.example",
  "ann.lee+news@shop-1.example.com",
  "a_b-c@x--y.example",
  `${label(50)}@b.example`,
  `${label(52)}@b.example`,
  `${label(64)}@b.example`,
  `${label(65)}@b.example`,
  `a@${label(60)}.d`,
  `a@${label(63)}.example`,
  `a@${label(64)}.example`,
  `a@${Array.from({ length: 9 }, () => label(28)).join(".")}`,
  ...["", "a", "@b.example", "a@", "a@b@c.example", ".a@b.example", "a.@b.example", "a..b@c.example", "a@b..example"],
  ...["a@-b.example", "a@b-.example", "a@b.example-", "a@b.-example", "a@b.example.", "a@.b.example", "a@localhost"],
  ...["a@b.1", "a@1.2.3.4", "a@[1.2.3.4]", "a@b.0x1f", "a@b.0x", "a@b.example\n", "\na@b.example", "a @b.example"],
  ...['"a b"@c.example', '"a@b"@c.example', "a,b@c.example", "a<b@c.example", "Ann <a@b.example>", " a@b.example"],
  ...["jörg@b.example", "a@bücher.example", "a@b\u200b.example", "a\u00ad@b.example", "a@b.exampl\u212a"],
  ...[null, 7, true, ["a@b.example"], { email: "a@b.example" }],
];
const NAMES: Values = [
  ...[
    "Ann",
    "",
    'Zoë, "the" 1st',
    "🎉",
    label(900),
    label(997),
    label(998),
    label(999),
    "🎉".repeat(499),
    "🎉".repeat(500),
  ],
  ...[...CONTROLS, null, 7, ["Ann"], {}],
];
const IDS: Values = [
  "017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
  "017F22E2-79B0-7CC3-98C4-DC0C0C07398F",
  ...[
    "017f22e279b07cc398c4dc0c0c07398f",
    "017f22e2-79b0-7cc3-98c4-dc0c0c07398",
    "017f22e2-79b0-7cc3-98c4-dc0c0c07398f0",
  ],
  ...[
    "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
    "017f22e-279b0-7cc3-98c4-dc0c0c07398f",
    "0-7f22e2-79b0-7cc3-98c4-dc0c0c07398f",
  ],
  ...["017f22e2-79b0-7cc3-98c4-dc0c0c07398f\n", "{017f22e2-79b0-7cc3-98c4-dc0c0c07398f}", "", null, 7, ["a"], {}],
];
const SUBJECTS: Values = [
  ...[
    "Grüße",
    "",
    label(65_536),
    label(65_537),
    "ü".repeat(32_768),
    "ü".repeat(32_769),
    ...CONTROLS,
    null,
    7,
    ["s"],
    {},
  ],
];
const BODIES: Values = ["t", "", "line\nline\t\u0001", null, 7, true, ["t"], { text: "t" }];

/** Mostly the first value, at times any of them. */
function mostly(random: Prng, values: Values): unknown {
  return random.int(4) === 0 ? any(random, values) : values[0];
}

function any(random: Prng, values: Values): unknown {
  return values[random.int(values.length)];
}

function mailbox(random: Prng): unknown {
  if (random.int(40) === 0) return any(random, ["a@b.example", null, [], {}, 7, [{ email: "a@b.example" }]]);
  const email = mostly(random, EMAILS);
  return random.int(2) === 0 ? { email } : { email, name: mostly(random, NAMES) };
}

function list(random: Prng): unknown {
  if (random.int(30) === 0) return any(random, [null, "a@b.example", {}, { email: "a@b.example" }, 7]);
  return Array.from(
    { length: random.int(60) === 0 ? random.pick([500, 501]) : random.pick([1, 1, 1, 1, 0, 2]) },
    (_, number) =>
      // All but one of a long list are good, or hardly any long list would be.
      number === 0 ? mailbox(random) : { email: `reader${number}@b.example` },
  );
}

/** Leaves out what is left out at times. */
function request(random: Prng): unknown {
  if (random.int(100) === 0) return any(random, [null, 7, "mail", [], [{}], {}]);
  const fields: readonly (readonly [name: string, oneIn: number, value: () => unknown])[] = [
    ["id", 1, () => mostly(random, IDS)],
    ["from", 1, () => mailbox(random)],
    ["to", 1, () => list(random)],
    ["cc", 12, () => list(random)],
    ["bcc", 12, () => list(random)],
    ["subject", 1, () => mostly(random, SUBJECTS)],
    ["text", 1, () => mostly(random, BODIES)],
    ["html", 3, () => mostly(random, BODIES)],
    ["tags", 6, () => ["news"]],
  ];
  const chosen = fields.filter(([, oneIn]) => random.int(oneIn) === 0 && random.int(30) > 0);
  return Object.fromEntries(chosen.map(([name, , value]) => [name, value()]));
}

test("what is_plain lets through has no fault, in thousands of requests good and bad", async () => {
  await using database = await createDatabase();
  const random = prng(20_261_122);
  let plain = 0;
  let faulty = 0;
  for (let batch = 0; batch < 20; batch++) {
    const requests = Array.from({ length: 150 }, () => request(random));
    const rows = await database.sql.unsafe(
      `select r.value::text as request, mailchute.is_plain(r.value) as plain,
        case when jsonb_typeof(r.value) = 'object' then mailchute.mail_issues(r.value)::text else 'no object' end as issues
      from jsonb_array_elements($1::text::jsonb) as r`,
      [JSON.stringify(requests)],
    );
    for (const row of rows) {
      if (row.plain) {
        plain++;
        expect({ request: row.request, issues: row.issues }).toEqual({ request: row.request, issues: "[]" });
      }
      if (row.issues !== "[]") faulty++;
    }
  }
  // The guard of this test: it has seen enough of both.
  expect(plain).toBeGreaterThan(300);
  expect(faulty).toBeGreaterThan(800);
});

test("is_plain knows the mails that most apps send", async () => {
  await using database = await createDatabase();
  const id = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
  const to = [{ email: "ann.lee+news@mail-1.example.com", name: "Zoë, “the” 1st" }];
  for (const body of [{ text: "t" }, { html: "<p>" }, { text: "t", html: "<p>", tags: ["news"], replyTo: to }]) {
    const mail = { id, from: { email: "shop@example.com", name: "Shop" }, to, subject: "Your order № 7", ...body };
    const [row] = await database.sql`select mailchute.is_plain(${JSON.stringify(mail)}::text::jsonb) as plain`;
    expect({ mail, plain: row?.plain }).toEqual({ mail, plain: true });
  }
});

test("is_plain leaves a mail with cc or bcc to the checks that count all recipients together", async () => {
  await using database = await createDatabase();
  const to = [{ email: "ann@example.com" }];
  const mail = { id: "017f22e2-79b0-7cc3-98c4-dc0c0c07398f", from: to[0], to, subject: "s", text: "t" };
  for (const more of [{ cc: to }, { bcc: to }]) {
    const [row] = await database
      .sql`select mailchute.is_plain(${JSON.stringify({ ...mail, ...more })}::text::jsonb) as plain`;
    expect(row?.plain).toBe(false);
  }
});
