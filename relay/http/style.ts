import { createHash } from "node:crypto";

/** The one stylesheet of every page; its digest is in their policy, so it must be written into them unchanged. */
export const STYLE: string = `
:root { color-scheme: light dark; --line: light-dark(#d9dce1, #3a3f47); --soft: light-dark(#f5f6f8, #20242a);
  --text: light-dark(#1b1f24, #e6e8eb); --dim: light-dark(#59616c, #a2abb7); --link: light-dark(#0b57b0, #85b8ff);
  --good: light-dark(#17693a, #6fd394); --bad: light-dark(#b3261e, #ff9d94); --back: light-dark(#ffffff, #16191d); }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); }
main, header { max-width: 66rem; margin: 0 auto; padding: 0 1rem; }
header { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; align-items: baseline; padding-top: 1rem; }
header strong { font-size: 1.1rem; }
nav { display: flex; gap: 1rem; }
h1 { font-size: 1.4rem; line-height: 1.3; margin: 1.25rem 0 .75rem; overflow-wrap: anywhere; }
a { color: var(--link); }
a[aria-current] { color: inherit; font-weight: 600; text-decoration: none; }
a:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: .5rem; background: var(--back); padding: .25rem .5rem; }
.dim { color: var(--dim); }
.good { color: var(--good); }
.bad { color: var(--bad); }
.notice { border: 1px solid var(--line); border-left: 4px solid var(--link); background: var(--soft);
  padding: .6rem .9rem; border-radius: 4px; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .6rem; padding: 0; margin: 1rem 0; }
.cards div { border: 1px solid var(--line); border-radius: 6px; padding: .5rem .75rem; background: var(--soft); }
.cards dt { color: var(--dim); font-size: .85rem; }
.cards dd { margin: 0; font-size: 1.25rem; white-space: nowrap; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; font-weight: 600; padding: .75rem 0 .35rem; }
th, td { text-align: left; padding: .45rem .75rem .45rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
thead th { color: var(--dim); font-weight: 500; font-size: .85rem; }
td { overflow-wrap: anywhere; }
tbody th { font-weight: 500; }
.nowrap { white-space: nowrap; overflow-wrap: normal; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.facts th { width: 9rem; color: var(--dim); font-weight: 500; }
.tabs { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; border-bottom: 1px solid var(--line); padding: 0 0 .5rem;
  margin: 1.25rem 0 1rem; list-style: none; }
iframe { display: block; width: 100%; height: 70vh; border: 1px solid var(--line); border-radius: 6px;
  background: #ffffff; color-scheme: light; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--soft); border: 1px solid var(--line);
  border-radius: 6px; padding: .9rem; font: 13px/1.5 ui-monospace, monospace; }
footer { max-width: 66rem; margin: 2rem auto; padding: 0 1rem; color: var(--dim); font-size: .85rem; }
@media (max-width: 40rem) {
  .cards { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .facts th, .facts td { display: block; width: auto; padding-right: 0; }
  .facts th { border-bottom: 0; padding-bottom: 0; }
  .list thead { position: absolute; left: -99rem; }
  .list tr { display: block; border-bottom: 1px solid var(--line); padding: .5rem 0; }
  .list th, .list td { display: block; border: 0; padding: .1rem 0; text-align: left; }
}
`;

const DIGEST = createHash("sha256").update(STYLE).digest("base64");

/** The policy of our own pages: one known stylesheet, frames of our own, and nothing that could run. */
export const PAGE_POLICY: string = [
  "default-src 'none'",
  `style-src 'sha256-${DIGEST}'`,
  "img-src 'self' data:",
  "frame-src 'self'",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");
