import { expect, test } from "bun:test";
import PostalMime from "postal-mime";
import { grantShop } from "../client/shop.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { openTestRelay } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { on, run } from "../command.ts";

/** Sends what waits, and returns what the server got. */
async function delivered(database: TestDatabase) {
  await using server = await startScriptedServer();
  await using running = await openTestRelay(database, { smtpPort: server.port });
  await running.relay.runOnce();
  return server.mails;
}

const CRON = `From: root (Cron Daemon)
To: root
Subject: Cron <root@web1> backup
X-Cron-Env: <SHELL=/bin/sh>
Auto-Submitted: auto-generated

tar: no space left
.
really
`;

test("what cron sends goes out: bare names are of this machine, its headers are kept, a dot alone ends nothing with -i", async () => {
  await using database = await createDatabase();
  const ran = await run(
    ["send", "-i", "-FCronDaemon", "-B8BITMIME", "-oem", "root", "--domain", "web1.example"],
    on(database),
    CRON,
  );
  expect(ran).toEqual({ code: 0, stdout: "", stderr: "" });
  const [mail] = await delivered(database);
  expect(mail?.recipients).toEqual(["root@web1.example"]);
  expect(mail?.content).toContain("From: CronDaemon <root@web1.example>\r\n");
  expect(mail?.content).toContain("Subject: Cron <root@web1> backup\r\n");
  expect(mail?.content).toContain("X-Cron-Env: <SHELL=/bin/sh>\r\n");
  expect(mail?.content).toContain("Auto-Submitted: auto-generated\r\n");
  expect(mail?.content).toContain("tar: no space left\r\n=2E\r\nreally");
  // Without -i it does.
  await run(["send", "-t", "-oem", "-f", "a@b.example"], on(database), CRON.replace("To: root", "To: a@b.example"));
  const [short] = await delivered(database);
  expect(short?.content).toContain("no space left");
  expect(short?.content).not.toContain("really");
});

const MIME = [
  "Received: from elsewhere",
  "DKIM-Signature: v=1; a=rsa-sha256",
  "Message-ID: <old@example.com>",
  "Date: Mon, 1 Jan 2024 00:00:00 +0000",
  "From: =?UTF-8?Q?J=C3=BCrgen?= <j@shop.example>",
  'To: "Ann, A." <ann@example.com>, friends: bob@example.com, carl@example.com;',
  "Cc: dora@example.com",
  "Bcc: secret@example.com",
  "Reply-To: help@shop.example",
  "In-Reply-To: <first@example.com>",
  "List-Unsubscribe: <https://shop.example/u>",
  "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
  "Subject: =?UTF-8?B?R3LDvMOfZQ==?=",
  " from here",
  "MIME-Version: 1.0",
  'Content-Type: multipart/mixed; boundary="b"',
  "",
  "--b",
  'Content-Type: multipart/alternative; boundary="c"',
  "",
  "--c",
  "Content-Type: text/plain; charset=iso-8859-1",
  "Content-Transfer-Encoding: quoted-printable",
  "",
  "Gr=FC=DFe",
  "--c",
  "Content-Type: text/html; charset=utf-8",
  "",
  '<p>Gruß <img src="cid:logo"></p>',
  "--c--",
  "--b",
  'Content-Type: image/png; name="logo.png"',
  "Content-ID: <logo>",
  "Content-Disposition: inline",
  "Content-Transfer-Encoding: base64",
  "",
  "iVBORw0KGgo=",
  "--b",
  "Content-Type: message/rfc822",
  "",
  "Subject: inner",
  "",
  "inner body",
  "--b--",
  "",
].join("\r\n");

test("a whole MIME mail arrives as it was meant: texts, attachments, headers; and Bcc in no header", async () => {
  await using database = await createDatabase();
  const ran = await run(["send", "-t", "-i", "-f", "bounces@shop.example", "extra@example.com"], on(database), MIME);
  expect(ran).toEqual({ code: 0, stdout: "", stderr: "" });
  const [mail] = await delivered(database);
  expect([...mail?.recipients ?? []].sort()).toEqual(
    ["ann", "bob", "carl", "dora", "extra", "secret"].map((name) => `${name}@example.com`),
  );
  expect(mail?.reversePath).toBe("bounces@shop.example");
  for (const gone of ["secret@", "extra@", "Received:", "DKIM-Signature", "old@example.com", "1 Jan 2024"]) {
    expect(mail?.content).not.toContain(gone);
  }
  const read = await PostalMime.parse(String(mail?.content), { forceRfc822Attachments: true });
  expect(read.from).toEqual({ address: "j@shop.example", name: "Jürgen" });
  expect(read.subject).toBe("Grüße from here");
  expect(read.text?.trim()).toBe("Grüße");
  expect(read.html).toContain('<p>Gruß <img src="cid:logo"></p>');
  expect(read.inReplyTo).toBe("<first@example.com>");
  expect(read.replyTo).toEqual([{ address: "help@shop.example", name: "" }]);
  expect(read.to?.map(({ address }) => address)).toEqual(["ann@example.com", "bob@example.com", "carl@example.com"]);
  expect(mail?.content).toContain("List-Unsubscribe: <https://shop.example/u>\r\n");
  expect(mail?.content).toContain("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n");
  const files = read.attachments.map(({ filename, mimeType, contentId, content }) => (
    { filename, mimeType, contentId, bytes: (content as ArrayBuffer).byteLength }
  ));
  expect(files).toEqual([
    { filename: "logo.png", mimeType: "image/png", contentId: "<logo>", bytes: 8 },
    { filename: "part-2.eml", mimeType: "message/rfc822", contentId: undefined, bytes: 28 },
  ]);
});

test("a mail of a few flags prints its id, and takes its text from stdin when none is given", async () => {
  await using database = await createDatabase();
  const words = [
    "send",
    "--to",
    "ann@example.com",
    "--to",
    "Bob <bob@example.com>",
    "--subject",
    "Disk",
    "-f",
    "ops@example.com",
  ];
  const piped = await run(words, on(database), "90 % full — soon\n");
  expect(piped.code).toBe(0);
  const given = await run([...words, "--text", "Hello"], on(database), "not this");
  expect((await run(["show", piped.stdout.trim()], on(database))).stdout).toContain("from ops@example.com: Disk");
  const mails = await delivered(database);
  const texts = await Promise.all(mails.map(async ({ content }) => (await PostalMime.parse(content)).text?.trim()));
  expect(texts.sort()).toEqual(["90 % full — soon", "Hello"]);
  expect(mails[0]?.content).toContain("To: ann@example.com, Bob <bob@example.com>");
  expect(given.stdout.trim()).toMatch(/^[0-9a-f-]{36}$/);
});

test("-f may be empty, and without a From it is the sender; else it is who runs the program", async () => {
  await using database = await createDatabase();
  const text = "Subject: x\n\nx\n";
  await run(
    ["send", "-i", "-f", "<>", "a@example.com"],
    { ...on(database), LOGNAME: "ann" },
    `From: b@shop.example\n${text}`,
  );
  await run(["send", "-i", "-f", "c@shop.example", "a@example.com"], on(database), text);
  await run(["send", "-i", "--domain", "shop.example", "a@example.com"], { ...on(database), LOGNAME: "dora" }, text);
  const paths = (await delivered(database)).map((
    { reversePath, content },
  ) => [reversePath, /^From: (.*)\r$/m.exec(content)?.[1]]);
  expect(paths.sort()).toEqual([["", "b@shop.example"], ["c@shop.example", "c@shop.example"], [
    "dora@shop.example",
    "dora@shop.example",
  ]]);
});

test("a role that may only enqueue can send as its senders, and is told with 77 what it may not", async () => {
  await using database = await createDatabase();
  const env = { DATABASE_URL: await grantShop(database) };
  const words = (from: string) => ["send", "--to", "ann@example.com", "--subject", "Hi", "--text", "Hi", "-f", from];
  expect((await run(words("cron@shop.example"), env)).code).toBe(0);
  const refused = await run(words("cron@other.example"), env);
  expect({ code: refused.code, stdout: refused.stdout }).toEqual({ code: 77, stdout: "" });
  expect(refused.stderr).toContain("mailchute grants");
});

test(
  "exit codes are those of sysexits.h: 75 keeps the mail, 64 is the command line, 65 the mail, 78 the settings",
  async () => {
    await using database = await createDatabase();
    await using empty = await createDatabase({ empty: true });
    const away = { DATABASE_URL: "postgres://relay:secret@127.0.0.1:1/shop" };
    const stranger = new URL(database.url);
    [stranger.username, stranger.password] = ["nobody", "secret"];
    const flags = ["send", "--to", "a@b.example", "--subject", "Hi", "--text", "Hi", "-f", "a@b.example"];
    const cases: readonly (readonly [
      words: readonly string[],
      env: Record<string, string>,
      stdin: string,
      code: number,
      says: string,
    ])[] = [
      [flags, away, "", 75, "ECONNREFUSED 127.0.0.1:1; check DATABASE_URL"],
      [flags, { DATABASE_URL: stranger.href }, "", 75, 'user "nobody"; check DATABASE_URL'],
      [flags, { DATABASE_URL: empty.url }, "", 75, "mailchute migrate"],
      [flags, { DATABASE_URL: "mysql://x" }, "", 78, "DATABASE_URL"],
      [flags, {}, "", 78, "Cannot find a database: set DATABASE_URL"],
      [["send"], away, "", 64, "-t"],
      [["send", "--unknown"], away, "", 64, "--unknown"],
      [["send", "-bs"], away, "", 64, "-bs"],
      [["send", "-f", "a b@c", "a@b.example"], away, "x", 64, "-f a b@c is no mail address"],
      [["send", "--subject", "x"], away, "", 64, "--to is missing"],
      [
        ["send", "a@b.example"],
        { ...on(database) },
        "From: a@b.example\nTo: other@b.example\n\nx",
        65,
        "names other@b.example",
      ],
      [["send", "-t"], { ...on(database) }, "From: a@b.example\n\nx", 65, "to: it is missing"],
      [["send", "-t"], { ...on(database) }, "From: a@b.example\nTo: a@-.example\n\nx", 65, "to.0"],
    ];
    const ran = await Promise.all(cases.map(([words, env, stdin]) => run(words, env, stdin)));
    for (const [index, { code, stdout, stderr }] of ran.entries()) {
      const [words, , , wanted, says] = cases[index] ?? [];
      expect({ words, code, stdout }).toEqual({ words, code: wanted as number, stdout: "" });
      expect(stderr).toContain(says as string);
      expect(stderr).not.toContain("secret");
    }
    await database
      .sql`insert into mailchute.relay (instance, host, pid, version, full_until) values (gen_random_uuid(), 'x', 1, '1', now() + interval '1 hour')`;
    expect((await run(flags, on(database))).code).toBe(75);
  },
  60_000,
);
