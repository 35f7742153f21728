import {
  type Connection,
  type Digest,
  MailchuteError,
  type Mailer,
  type MessageInput,
  type MessageStatus,
} from "../../mod.ts";

// What is done with a mailer and what comes of it, for the real one and the fake one alike. A case returns what it has
// seen; the test compares both.

/** A mailer, and what happens to its mails. */
export interface Subject {
  readonly mail: Mailer;
  /** The same with `transaction: "required"`. */
  readonly strict: Mailer;
  transaction<T>(work: (tx: Connection) => Promise<T>): Promise<T>;
  /**
   * Lets a relay try all that waits; the part of an address before a hyphen says what the server makes of it:
   * `bounced-1@example.com`.
   */
  deliver(): Promise<void>;
  /** Lets the windows of all digests end. */
  closeDigests(): Promise<void>;
  /** Lets a relay hold a mail, and no more. */
  hold(id: string): Promise<void>;
}

/** The templates of the app, in the order in which they are saved. */
export const TEMPLATES = [
  { name: "welcome", subject: "Old {{first}}", text: "t" },
  { name: "welcome", subject: "Hi {{first}}", text: "Dear {{ first }}, {{last}}", html: "<p>{{first}}</p>" },
  { name: "welcome", language: "de", subject: "Hallo {{first}}", text: "Liebe {{first}}" },
  { name: "news", language: "de", subject: "Neues", html: "<p>Liebe {{first}}</p>" },
] as const;

/** A case: what it shows, and how. */
export type Behaviour = (subject: Subject) => Promise<unknown>;

const BASE = { from: "Shop <a@shop.example>", to: "sent@example.com", subject: "s", text: "t" } satisfies MessageInput;
const HOUR_MS = 3_600_000;
const inHours = (hours: number) => new Date(Math.ceil(Date.now() / HOUR_MS + hours) * HOUR_MS);

/** Sends, lets it be tried so many times, and tells the status after each. */
async function fate({ mail, deliver }: Subject, message: object, times = 1): Promise<readonly unknown[]> {
  const { id } = await mail.send({ ...BASE, ...message });
  const seen: unknown[] = [await mail.get(id)];
  for (let time = 0; time < times; time++) {
    await deliver();
    seen.push(await mail.get(id));
  }
  return [...seen, await mail.cancel(id), await mail.reschedule(id, inHours(1)), await mail.get(id)];
}

async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then((value) => ({ value }), (error: unknown) => {
    if (!(error instanceof MailchuteError)) return { other: (error as Error).message };
    const { code, message, issues } = error;
    return { code, message, issues };
  });
}

/** By what each shows. */
export const BEHAVIOURS: Readonly<Record<string, Behaviour>> = {
  "a mail is sent": (subject) => fate(subject, { tags: ["a"], metadata: { order: "7" }, stream: "bulk" }),
  "a mail bounces": (subject) => fate(subject, { to: "bounced@example.com" }),
  "a mail is deferred, again and again": (subject) => fate(subject, { to: "deferred@example.com" }, 3),
  "a mail is uncertain": (subject) => fate(subject, { to: "uncertain@example.com" }),
  "a mail is uncertain and held": (subject) => fate(subject, { to: "uncertain@example.com", onUncertain: "hold" }),
  "a mail has recipients of all kinds and fates": (subject) =>
    fate(subject, {
      to: ["Ann <sent@example.com>", "bounced@example.com"],
      cc: "deferred@example.com",
      bcc: "bounced-2@example.com",
    }),

  "a mail of a stream is deferred, again and again": (subject) =>
    fate(subject, { to: "deferred@example.com", stream: "bulk" }, 3),
  "a mail of a stream is uncertain": (subject) => fate(subject, { to: "uncertain@example.com", stream: "otp" }),

  "a stream says when a mail expires": async ({ mail }) => {
    const seen: unknown[] = [];
    const look = async (id: string) => {
      const { createdAt, scheduledAt = createdAt, expiresAt } = await mail.get(id) as MessageStatus;
      seen.push(expiresAt === undefined ? "never" : (expiresAt.getTime() - scheduledAt.getTime()) / 1_000);
    };
    for (const stream of ["otp", "transactional", "bulk", "alert", "news"]) {
      await look((await mail.send({ ...BASE, stream })).id);
      const { id } = await mail.send({ ...BASE, stream, scheduledAt: inHours(1) });
      await look(id);
      seen.push(await mail.reschedule(id, inHours(100)));
      await look(id);
    }
    const { id } = await mail.send({ ...BASE, stream: "otp", scheduledAt: inHours(1), expiresAt: inHours(5) });
    await look(id);
    seen.push(await errorOf(mail.reschedule(id, inHours(5))), await mail.reschedule(id, inHours(3)));
    await look(id);
    return seen;
  },

  "a stream refuses digests": async ({ mail }) => {
    const digest = { key: "k", wait: "1h" } as const;
    const item = await mail.send({ ...BASE, stream: "alert", digest });
    return [await errorOf(mail.send({ ...BASE, stream: "otp", digest })), (await mail.get(item.id))?.expiresAt];
  },

  "a scheduled mail is canceled twice": async ({ mail }) => {
    const { id } = await mail.send({ ...BASE, scheduledAt: inHours(2), expiresAt: inHours(5) });
    return [await mail.get(id), await mail.cancel(id), await mail.cancel(id), await mail.get(id)];
  },

  "a mail is rescheduled, to the past too": async ({ mail }) => {
    const { id } = await mail.send({ ...BASE, expiresAt: inHours(5) });
    const seen = [await mail.reschedule(id, inHours(3)), await mail.get(id)];
    seen.push(await mail.reschedule(id, "2020-01-01T00:00:00Z"), await mail.get(id));
    return [
      ...seen,
      await errorOf(mail.reschedule(id, inHours(5))),
      await errorOf(mail.reschedule(id, "2020-02-30T00:00:00Z")),
    ];
  },

  "an item waits for its digest": async ({ mail }) => {
    const digest = { key: "replies", wait: "1h", subject: "{{count}} replies" };
    const { id } = await mail.send({ ...BASE, digest });
    const seen: unknown[] = [await mail.get(id), await errorOf(mail.reschedule(id, inHours(1))), await mail.cancel(id)];
    const latest = async (window: Digest) => {
      const item = await mail.send({ ...BASE, digest: window });
      const { createdAt, scheduledAt } = await mail.get(item.id) as MessageStatus;
      return (scheduledAt as Date).getTime() - createdAt.getTime();
    };
    seen.push(await latest({ key: "k", wait: "90s" }), await latest({ key: "k", wait: "2m", debounce: true }));
    seen.push(await latest({ key: "k", wait: "2m", debounce: true, atMost: "1d" }));
    const at = await mail.send({ ...BASE, digest: { key: "k", at: "02:30", timeZone: "Europe/Vienna" } });
    seen.push((await mail.get(at.id))?.scheduledAt?.toISOString().slice(10));
    await mail.suppressions.add("bob@example.com");
    seen.push(await mail.get((await mail.send({ ...BASE, to: "bob@example.com", digest })).id));
    return seen;
  },

  "an item is canceled, and then moved": async ({ mail, closeDigests }) => {
    const { id } = await mail.send({ ...BASE, digest: { key: "replies", wait: "1h" } });
    const seen: unknown[] = [await mail.cancel(id), await errorOf(mail.reschedule(id, inHours(1))), await mail.get(id)];
    await closeDigests();
    return [...seen, await mail.reschedule(id, inHours(1)), await mail.cancel(id), await mail.get(id)];
  },

  "a lone item goes out": async ({ mail, closeDigests, deliver }) => {
    const { id } = await mail.send({ ...BASE, stream: "bulk", digest: { key: "replies", wait: "1h" } });
    await closeDigests();
    const seen: unknown[] = [await mail.get(id)];
    await deliver();
    return [...seen, await mail.get(id), await mail.cancel(id), await mail.reschedule(id, inHours(1))];
  },

  "items go out in digests": async ({ mail, closeDigests, deliver }) => {
    const item = async (to: string, more = {}) =>
      (await mail.send({ ...BASE, to, digest: { key: "replies", wait: "1h" }, ...more })).id;
    const ids = [
      await item("Deferred-1@example.com", { tags: ["a", "b"], metadata: { order: "7" } }),
      await item("deferred-1@example.com", { tags: ["b", "c"], stream: "bulk" }),
      await item("deferred-4@example.com", { digest: { key: "other", wait: "1h" } }),
      await item("sent-2@example.com"),
      await item("sent-2@example.com"),
      await item("bounced-3@example.com"),
      await item("bounced-3@example.com", { digest: { key: "replies", wait: "1h" }, tags: ["c"] }),
    ];
    const seen: unknown[] = [];
    const look = async () => {
      for (const id of ids) seen.push(await mail.get(id));
    };
    await mail.suppressions.add("sent-2@example.com", "complaint");
    await closeDigests();
    await look();
    const digest = (await mail.get(ids[0] as string))?.digest?.id as string;
    seen.push(digest === (await mail.get(ids[1] as string))?.digest?.id, ids.includes(digest), await mail.get(digest));
    await deliver();
    await look();
    const next = await item("deferred-1@example.com");
    seen.push(await mail.get(next), await mail.get(digest), await mail.wait(ids[6] as string));
    seen.push(await mail.cancel(ids[0] as string), await mail.reschedule(ids[0] as string, inHours(1)));
    seen.push(
      await mail.reschedule(digest, inHours(1)),
      await mail.cancel({ tag: "c" }),
      await mail.cancel(ids[1] as string),
    );
    await look();
    return [...seen, await mail.get(digest), await mail.cancel(digest)];
  },

  "a digest is refused": async ({ mail }) => [
    await errorOf(mail.send({ ...BASE, cc: "b@c.example", digest: { key: "", wait: "soon", items: 1 } as never })),
    await errorOf(mail.sendMany({ ...BASE, to: undefined, digest: { key: "k", wait: "1h" } } as never, [])),
  ],

  "a mail has a template": async ({ mail }) => {
    const send = async (template: object, more = {}) =>
      await errorOf(mail.send({ from: "a@shop.example", to: BASE.to, template, ...more } as MessageInput));
    return [
      await mail.send({
        from: BASE.from,
        to: BASE.to,
        template: { name: "welcome", variables: { first: "A", last: 7 } },
      }),
      await send({ name: "nobody" }),
      await send({ name: "welcome" }),
      await send({ name: "welcome", version: 1, language: "fr", variables: { first: "A" } }),
      await send({ name: "welcome", version: 3, variables: { first: "A", last: "B" } }),
      await send({ name: "welcome", version: 2, language: "de-AT", variables: { first: "A" } }),
      await send({ name: "welcome", variables: { first: "A\r\nBcc: x@y.example", unused: "u" } }),
      await send({ name: "news", language: "en", variables: { first: "A" } }),
      await send({ name: "news", language: "de_AT", variables: { first: "{{x}}" } }),
      await send({ name: "", language: "deutsch!", version: 1.5, variables: { a: {}, b: "\0" }, x: 1 }),
      await send({ name: "welcome" }, { subject: "s", html: "<p>" }),
      await send("welcome" as never),
    ];
  },

  "a template is used with a key": async ({ mail }) => {
    const send = (first: string) =>
      mail.send({
        from: "a@shop.example",
        to: BASE.to,
        template: { name: "welcome", language: "de", variables: { first } },
      }, {
        idempotencyKey: "k",
      });
    return [(await send("A")).created, (await send("A")).created, await errorOf(send("B"))];
  },

  "a bulk send has a template": async ({ mail }) => {
    const template = { from: "a@shop.example", template: { name: "welcome" } };
    const people = [
      { to: "a@example.com", variables: { first: "A", last: 7 } },
      { to: "b@example.com", variables: { first: "B" } },
      { to: "c@example.com", variables: { first: "C\n", last: "" } },
      { to: "d@example.com" },
    ];
    return [
      await errorOf(mail.sendMany(template, people, { batch: "b" })),
      await mail.sendMany(template, people, { batch: "b", onInvalid: "skip" }),
      await mail.get({ batch: "b" }),
      await errorOf(mail.sendMany({ ...template, template: { name: "news" } }, people, { batch: "c" })),
      await errorOf(mail.sendMany({ ...template, template: { name: "news" } }, people, { batch: "b" })),
      await errorOf(mail.sendMany({ ...template, template: { name: "news", variables: {} } } as never, people)),
      await errorOf(mail.sendMany(template, [{ to: "a@example.com", variables: [] as never }])),
    ];
  },

  "a mail is held by a relay": async ({ mail, hold }) => {
    const { id } = await mail.send(BASE);
    await hold(id);
    return [await mail.get(id), await mail.cancel(id), await mail.reschedule(id, inHours(1))];
  },

  "nobody's mail is asked for": async ({ mail }) => {
    const nobody = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
    return [
      ...[await mail.get(nobody), await mail.cancel(nobody), await mail.reschedule(nobody, inHours(1))],
      ...[await mail.get("no uuid"), await mail.cancel("no uuid"), await mail.reschedule("no uuid", inHours(1))],
    ];
  },

  "an id is asked for in capitals": async ({ mail }) => {
    const { id } = await mail.send(BASE);
    return [(await mail.get(id.toUpperCase()))?.state, await mail.cancel(id.toUpperCase())];
  },

  "a key is used again": async ({ mail }) => {
    const options = { idempotencyKey: "receipt/1" };
    const message = { ...BASE, metadata: { a: "1", b: "2" }, scheduledAt: inHours(1) };
    const first = await mail.send(message, options);
    const again = await mail.send({ ...message, metadata: { b: "2", a: "1" } }, options);
    const other = await errorOf(mail.send({ ...message, subject: "Other" }, options));
    const canceled = await mail.cancel(first.id);
    const later = await mail.send(message, options);
    return [first.created, again.created, again.id === first.id, other, canceled, later.created, later.id === first.id];
  },

  "a transaction commits": async ({ mail, strict, transaction }) => {
    const id = await transaction(async (tx) => {
      const sent = await strict.send(BASE, { tx });
      return [sent.id, (await mail.get(sent.id))?.state, (await mail.get(sent.id, { tx }))?.state];
    });
    return [id.slice(1), (await mail.get(id[0] as string))?.state];
  },

  "a transaction is rolled back": async ({ mail, transaction }) => {
    const { id: before } = await mail.send(BASE);
    const ids: string[] = [];
    const failing = transaction(async (tx) => {
      ids.push((await mail.send(BASE, { tx, idempotencyKey: "k" })).id);
      ids.push(await mail.cancel(before, { tx }));
      throw new Error("out of stock");
    });
    const error = await errorOf(failing);
    const later = await mail.send({ ...BASE, subject: "Other" }, { idempotencyKey: "k" });
    return [error, ids[1], await mail.get(ids[0] as string), (await mail.get(before))?.state, later.created];
  },

  "a transaction is required": async ({ strict, transaction }) => {
    const errors = [await errorOf(strict.send(BASE)), await errorOf(strict.send(BASE, { tx: null as never }))];
    const id = await transaction(async (tx) => (await strict.send(BASE, { tx })).id);
    errors.push(
      await errorOf(strict.cancel(id)),
      await errorOf(strict.reschedule(id, inHours(1))),
      await strict.get(id),
    );
    return [...errors, await transaction((tx) => strict.cancel(id, { tx }))];
  },

  "the database refuses what the client does not": async ({ mail }) => {
    const attempt = (fields: object) => errorOf(mail.send({ ...BASE, ...fields }));
    const file = { filename: "a", content: new Uint8Array(1) };
    return [
      await attempt({ scheduledAt: "2026-02-30T00:00:00Z" }),
      await attempt({ expiresAt: "2027-13-01T00:00:00+01:00" }),
      await attempt({ expiresAt: "2020-01-01T00:00:00Z" }),
      await attempt({ scheduledAt: "9999-12-31T23:59:59-12:00" }),
      await attempt({ scheduledAt: inHours(2), expiresAt: inHours(2) }),
      await attempt({ attachments: [file, { ...file, contentType: 'text/plain; charset="a' }] }),
      await errorOf(mail.send({ ...BASE, scheduledAt: "2026-02-30T00:00:00Z" }, { idempotencyKey: "k" })),
    ];
  },

  "the client refuses": async ({ mail }) => [
    await errorOf(
      mail.send(
        { ...BASE, to: ["nobody", "a@b.example"], priority: "urgent", reply_to: "x" } as unknown as MessageInput,
      ),
    ),
    await errorOf(mail.send({ ...BASE, subject: "s".repeat(70_000) })),
    await errorOf(mail.send(BASE, { idempotencyKey: "" })),
    await errorOf(mail.send(BASE, { idempotencykey: "k" } as object)),
    await errorOf(mail.send(BASE, { tx: {} } as object)),
    await errorOf(mail.send(BASE, (() => {}) as object)),
    await errorOf(mail.get("x", { timeoutMs: 1 } as object)),
    await errorOf(mail.reschedule("x", "tomorrow")),
  ],

  "one mail goes to many, and to who is missing when it is run again": async ({ mail }) => {
    const template = {
      from: "a@shop.example",
      subject: "News for {{name}}",
      html: "<p>{{name}}",
      tags: ["news"],
      scheduledAt: inHours(1),
    };
    const list = ["ann", "bob", "eve"].map((name) => ({ to: `${name} <${name}@example.com>`, variables: { name } }));
    const first = await mail.sendMany(template, list.slice(0, 2), { batch: "news/1" });
    const again = await mail.sendMany(template, [{ ...list[0], to: "ann@EXAMPLE.com" } as (typeof list)[0], ...list], {
      batch: "news/1",
      onInvalid: "skip",
    });
    const seen = [first, again, await mail.get({ batch: "news/1" }), await mail.get({ batch: "news/2" })];
    seen.push(await errorOf(mail.sendMany({ ...template, subject: "Other" }, list, { batch: "news/1" })) as never);
    seen.push(await errorOf(mail.sendMany(template, [list[0], list[0]] as typeof list)) as never);
    seen.push(await errorOf(mail.sendMany({ ...template, expiresAt: "2020-01-01T00:00:00Z" }, list)) as never);
    // Exactly at the limit, the name included, and one above.
    for (const length of [65_532, 65_533]) {
      const large = { to: "ann@example.com", variables: { name: "n".repeat(length) } };
      seen.push(await errorOf(mail.sendMany(template, [large])) as never);
    }
    await mail.send(BASE);
    const cancels = [await mail.cancel({ batch: "none" }), await mail.cancel({ tag: "none" })];
    cancels.push(await mail.cancel({ batch: "news/1" }), await mail.cancel({ batch: "news/1" }));
    return [seen, cancels, await mail.get({ batch: "news/1" })];
  },

  "a batch without a name is asked for by its id, and canceled by its tag": async ({ mail, deliver }) => {
    const template = { from: "a@shop.example", subject: "s", text: "t", tags: ["news"] };
    const list = ["sent@example.com", "bounced@example.com", "deferred@example.com"].map((to) => ({ to }));
    const { batch } = await mail.sendMany(template, list);
    const before = [await mail.get({ batch }), await mail.get({ batch: batch.toUpperCase() })];
    await deliver();
    return [...before, await mail.get({ batch }), await mail.cancel({ tag: "news" }), await mail.get({ batch })];
  },

  "a transaction with a bulk send is rolled back": async ({ mail, transaction }) => {
    const template = { from: "a@shop.example", subject: "s", text: "t" };
    const failing = transaction(async (tx) => {
      await mail.sendMany(template, [{ to: "ann@example.com" }], { tx, batch: "news/1" });
      await mail.suppressions.add("bob@example.com", "manual", { tx });
      throw new Error("out of stock");
    });
    return [
      await errorOf(failing),
      await mail.get({ batch: "news/1" }),
      await mail.suppressions.get("bob@example.com"),
    ];
  },

  "addresses are suppressed, and taken off again": async ({ mail }) => {
    await mail.suppressions.add("Ann@Example.com");
    await mail.suppressions.add({ email: "ann@example.com" }, "complaint");
    const seen: unknown[] = [
      await mail.suppressions.get("ANN@example.com"),
      await mail.suppressions.get("bob@example.com"),
    ];
    const one = await mail.send({ ...BASE, to: "ann@example.com" });
    const two = await mail.send({ ...BASE, to: ["bob@example.com", "ANN@example.com"] });
    seen.push(await mail.get(one.id), await mail.cancel(one.id), await mail.get(two.id), await mail.wait(one.id));
    const { batch } = await mail.sendMany({ from: "a@shop.example", subject: "s", text: "t" }, [{
      to: "ann@example.com",
    }]);
    seen.push(await mail.get({ batch }));
    seen.push(await mail.suppressions.remove("ann@example.com"), await mail.suppressions.remove("ann@example.com"));
    seen.push(
      await errorOf(mail.suppressions.add("nobody")),
      await errorOf(mail.suppressions.add("a@b.example", "x" as never)),
    );
    return [...seen, (await mail.get((await mail.send({ ...BASE, to: "ann@example.com" })).id))?.state];
  },

  "a mail goes past the suppression list": async ({ mail, deliver }) => {
    const seen: unknown[] = [];
    const override = { overrideSuppression: true };
    for (const reason of ["manual", "unsubscribe", "bounce", "complaint"] as const) {
      const to = `sent-${reason}@example.com`;
      await mail.suppressions.add(to, reason);
      const ids = [];
      for (const more of [override, { overrideSuppression: false }, { ...override, cc: "sent-2@example.com" }]) {
        ids.push((await mail.send({ ...BASE, to, ...more })).id);
      }
      await deliver();
      for (const id of ids) seen.push(await mail.get(id));
      // What an address must not be mailed for stays what it is.
      await mail.suppressions.add(to, "unsubscribe");
      seen.push((await mail.suppressions.get(to))?.reason);
    }
    const template = { from: "a@shop.example", subject: "s", text: "t", ...override };
    return [
      ...seen,
      await errorOf(mail.send({ ...BASE, overrideSuppression: "yes" as never })),
      await errorOf(mail.send({ ...BASE, ...override, digest: { key: "k", wait: "1h" } })),
      await errorOf(mail.sendMany(template, [{ to: "sent@example.com" }])),
    ];
  },

  "a mail is waited for": async ({ mail, deliver }) => {
    const { id } = await mail.send({ ...BASE, to: "bounced@example.com" });
    const late = await errorOf(mail.wait(id, { timeoutMs: 300 }));
    const waiting = mail.wait(id);
    await deliver();
    return [late, await waiting, await errorOf(mail.wait("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"))];
  },

  "a statement is made, and not run": async ({ mail }) => {
    const { id, text, values } = await mail.statement(BASE, { idempotencyKey: "k" });
    return [text, values[0]?.replace(id, ""), await mail.get(id)];
  },
};
