/** @jsxImportSource hono/jsx */
import { Hono } from "hono";
import type { Child } from "hono/jsx";
import type { Inbox, InboxMail } from "../mail/inbox.ts";
import { download } from "./download.ts";
import { page } from "./page.tsx";
import { previewPage } from "./preview.ts";
import { type MailHead, readHead, type ReadMail, readMail } from "./read_mail.ts";
import { refreshSeconds } from "./refresh.ts";

const MAX_SHOWN_CHARS = 262_144;
const TABS = [["html", "HTML"], ["text", "Text"], ["source", "Source"]] as const;
type Tab = (typeof TABS)[number][0];

/** The pages of the inbox, to be mounted at `/inbox` behind a guard that lets only this machine in. */
export function inboxPages(inbox: Inbox): Hono {
  const app = new Hono();

  app.get("/", async (c) => {
    const rows = await Promise.all(inbox.mails().map(async (mail) => ({ mail, head: await readHead(mail) })));
    return await listPage(rows, { inbox, refreshSeconds: refreshSeconds(c.req.query("poll")) });
  });

  app.get("/:id", async (c) => {
    const mail = inbox.get(c.req.param("id"));
    return mail === undefined ? c.notFound() : await mailPage(mail, c.req.query("tab"));
  });

  app.get("/:id/preview", async (c) => {
    const mail = inbox.get(c.req.param("id"));
    return mail === undefined ? c.notFound() : previewPage(await readMail(mail));
  });

  app.get("/:id/source.eml", (c) => {
    const mail = inbox.get(c.req.param("id"));
    return mail === undefined ? c.notFound() : download(mail.content, `${mail.id}.eml`);
  });

  app.get("/:id/attachments/:index", async (c) => {
    const mail = inbox.get(c.req.param("id"));
    const index = /^\d{1,4}$/.test(c.req.param("index")) ? Number(c.req.param("index")) : -1;
    const attachment = mail === undefined ? undefined : (await readMail(mail)).attachments[index];
    return attachment === undefined ? c.notFound() : download(attachment.content, attachment.filename);
  });

  return app;
}

function listPage(
  rows: readonly { readonly mail: InboxMail; readonly head: MailHead }[],
  options: { readonly inbox: Inbox; readonly refreshSeconds: number | undefined },
): Promise<Response> {
  const polls = options.refreshSeconds !== undefined;
  return page(
    <>
      <h1>Inbox</h1>
      <p class="dim">
        {rows.length === 0 ? "No mail yet. " : `${rows.length} ${rows.length === 1 ? "mail" : "mails"}. `}
        Captured on 127.0.0.1:{String(options.inbox.port)}, sent to nobody.{" "}
        {polls ? <a href="inbox">Stop reloading</a> : <a href="?poll=5">Reload every 5 seconds</a>}
      </p>
      {rows.length === 0 ? "" : (
        <table class="list">
          <caption class="skip">Captured mail, the newest first</caption>
          <thead>
            <tr>
              <th scope="col">Subject</th>
              <th scope="col">From</th>
              <th scope="col">To</th>
              <th scope="col">Received</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ mail, head }) => (
              <tr>
                <th scope="row">
                  <a href={`inbox/${mail.id}`}>{head.subject || "(no subject)"}</a>
                </th>
                <td>{head.from || mail.from || "<>"}</td>
                <td>{summary(mail.to)}</td>
                <td class="nowrap dim">{time(mail.receivedAt)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>,
    {
      title: "Inbox",
      links: [{ href: "./", text: "Status" }, { href: "inbox", text: "Inbox", current: true }],
      refreshSeconds: options.refreshSeconds,
    },
  );
}

async function mailPage(mail: InboxMail, asked: string | undefined): Promise<Response> {
  const read = await readMail(mail);
  const fallback: Tab = read.html !== undefined ? "html" : read.text !== undefined ? "text" : "source";
  const tab = TABS.find(([name]) => name === asked)?.[0] ?? fallback;
  const title = read.subject || "(no subject)";
  return await page(
    <>
      <h1>{title}</h1>
      {facts(mail, read)}
      {attachmentTable(mail, read)}
      <ul class="tabs" aria-label="Views">
        {TABS.map(([name, text]) => (
          <li>
            <a href={`?tab=${name}`} aria-current={name === tab ? "page" : undefined}>{text}</a>
          </li>
        ))}
        <li>
          <a href={`${mail.id}/source.eml`}>Download .eml</a>
        </li>
      </ul>
      {read.fault === undefined ? "" : <p class="notice">{read.fault}</p>}
      {tabBody(tab, { mail, read })}
    </>,
    { title, links: [{ href: "../", text: "Status" }, { href: "../inbox", text: "Inbox" }] },
  );
}

function facts(mail: InboxMail, read: ReadMail): Child {
  const rows: readonly (readonly [string, Child])[] = [
    ["From", read.from],
    ["To", read.to],
    ["Cc", read.cc],
    ["Reply-To", read.replyTo],
    ["Date", read.date],
    ["Message-ID", read.messageId],
    ["Return path", mail.from === "" ? "<>" : mail.from],
    // The header does not name those of Bcc; the envelope does.
    ["Delivered to", mail.to.join(", ")],
    ["Received", time(mail.receivedAt)],
  ];
  return (
    <table class="facts">
      <caption class="skip">Header and envelope</caption>
      <tbody>
        {rows.filter(([, value]) => value !== "").map(([name, value]) => (
          <tr>
            <th scope="row">{name}</th>
            <td>{value}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function attachmentTable(mail: InboxMail, read: ReadMail): Child {
  if (read.attachments.length === 0) return "";
  return (
    <table>
      <caption>Attachments</caption>
      <thead>
        <tr>
          <th scope="col">Name</th>
          <th scope="col">Type</th>
          <th scope="col" class="number">Size</th>
        </tr>
      </thead>
      <tbody>
        {read.attachments.map(({ filename, contentType, content }, index) => (
          <tr>
            <th scope="row">
              <a href={`${mail.id}/attachments/${index}`}>{filename}</a>
            </th>
            <td>{contentType}</td>
            <td class="number nowrap">{size(content.byteLength)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function tabBody(tab: Tab, options: { readonly mail: InboxMail; readonly read: ReadMail }): Child {
  const { mail, read } = options;
  switch (tab) {
    case "html":
      if (read.html === undefined) return <p class="dim">This mail has no HTML part.</p>;
      return (
        <>
          <iframe src={`${mail.id}/preview`} title="The mail's HTML" sandbox="" referrerpolicy="no-referrer"></iframe>
          <p class="dim">
            Scripts, forms and remote pictures are blocked. Links work when the HTML is{" "}
            <a href={`${mail.id}/preview`}>opened alone</a>.
          </p>
        </>
      );
    case "text":
      return read.text === undefined ? <p class="dim">This mail has no text part.</p> : shown(read.text);
    case "source":
      return shown(new TextDecoder().decode(mail.content.subarray(0, MAX_SHOWN_CHARS + 1)));
  }
}

function shown(text: string): Child {
  if (text.length <= MAX_SHOWN_CHARS) return <pre>{text}</pre>;
  return (
    <>
      <pre>{text.slice(0, MAX_SHOWN_CHARS)}</pre>
      <p class="dim">Only the beginning is shown; the .eml file holds all of it.</p>
    </>
  );
}

function summary(addresses: readonly string[]): string {
  const first = addresses.slice(0, 2).join(", ");
  return addresses.length > 2 ? `${first} and ${addresses.length - 2} more` : first;
}

function time(date: Date): Child {
  const text = date.toISOString();
  return <time datetime={text}>{`${text.slice(0, 10)} ${text.slice(11, 19)} UTC`}</time>;
}

function size(bytes: number): string {
  if (bytes < 1_024) return `${bytes} B`;
  return bytes < 1_048_576 ? `${(bytes / 1_024).toFixed(1)} KiB` : `${(bytes / 1_048_576).toFixed(1)} MiB`;
}
