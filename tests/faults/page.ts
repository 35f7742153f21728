/** One row of docs/faults.md: what each of both did. */
export interface Row {
  readonly id: string;
  readonly name: string;
  readonly mailchute: string;
  readonly nodemailer: string;
}

/** Writes docs/faults.md. */
export function pageOf(rows: readonly Row[], versions: { readonly method: string }): string {
  const lines = rows.map(({ id, name, mailchute, nodemailer }) =>
    `| ${[id, name, mailchute, nodemailer].map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`
  );
  return `# What happens when the mail server misbehaves

104 named faults between a client and a mail server, and what came out of each: of our SMTP engine (S07 to S11: of a whole relay), and of
nodemailer's pool with the same mails against the same server. Every row is a test of ours, \`tests/faults\`, which also asks that the server's
ledger agrees with what was reported, that no connection, descriptor or timer is left, and that the event loop never stood still.

Words: *sent*, *deferred* (tried, and again later), *bounced* (never again), *uncertain* (the final dot is out and no reply came), with the phase
and the code that decided; *untried*: the route's trouble, which costs the mail no attempt. *error*: what \`sendMail\` rejected with, its \`code\` and
\`responseCode\`; *refused*: this recipient only. *but delivered*: the server has said 250 to it, or holds it. A number counts recipients (before a
comma) or mails (before a semicolon).

${versions.method}

| | fault | mailchute | nodemailer |
|---|---|---|---|
${lines.join("\n")}
`;
}

/** Reads the faults that docs/faults.md has, in its order. */
export function faultsOnPage(page: string): readonly { readonly id: string; readonly name: string }[] {
  return [...page.matchAll(/^\| ([A-Z]\d\d) \| ((?:\\\||[^|])+) \|/gm)].map(([, id = "", name = ""]) => ({
    id,
    name: name.replaceAll("\\|", "|"),
  }));
}

/**
 * Says an outcome of `outcomesIn` in the words of the page.
 *
 * @example
 * ```ts
 * if (inWords("bounced rcpt recipient 550") !== "bounced (rcpt 550)") throw new Error("unexpected");
 * if (inWords("untried connect_refused connect") !== "untried: connect_refused") throw new Error("unexpected");
 * ```
 */
export function inWords(outcome: string): string {
  return outcome.split(", ").map((each) => {
    const parts = each.split(" ");
    const [kind = "", first = ""] = parts;
    const code = parts.at(-1) ?? "";
    const reply = /^\d{3}$/.test(code) ? ` ${code}` : "";
    if (kind === "sent") return kind;
    if (kind === "untried") return `untried: ${first}${reply}`;
    return `${kind} (${first}${reply})`;
  }).join(", ");
}
