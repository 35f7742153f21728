// The mails that are measured: what an app sends when an order comes in.

export const FROM = { name: "Shop", email: "shop@example.com" } as const;
export const SUBJECT = "Your order 1042 is on its way";

/** 340 characters, as a short receipt has. */
export const TEXT = [
  "Hello Ann,",
  "",
  "thank you for your order. We have handed your parcel to the carrier; it should be with you within two working days.",
  "",
  "  1 x Desk lamp, brass          49.00",
  "  2 x Light bulb, warm white     9.80",
  "",
  "You can follow it here: https://shop.example.com/orders/1042",
  "If anything is wrong, simply answer this mail.",
  "",
  "Your shop",
].join("\n");

/** About 4 kB, as a template makes it: a table with styles, and words that are not ASCII. */
export const HTML = `<!doctype html><html><body style="font-family: sans-serif"><h1>Grüße aus dem Laden</h1><table>${
  Array.from(
    { length: 40 },
    (_, line) => `<tr><td style="padding: 4px">Line ${line}</td><td align="right">${line * 7}.50&nbsp;€</td></tr>\n`,
  ).join("")
}</table></body></html>`;

/** Bytes without a pattern, the same in every run (xorshift32). */
export function noise(bytes: number): Uint8Array {
  const made = new Uint8Array(bytes);
  let state = 0x9e3779b9;
  for (let index = 0; index < bytes; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    made[index] = state;
  }
  return made;
}

/** What a request to the queue says, but for its recipient. */
export function smallRequest(to: string): { readonly [Name in "from" | "to" | "subject" | "text"]: string } {
  return { from: `${FROM.name} <${FROM.email}>`, to, subject: SUBJECT, text: TEXT };
}
