import type { Mail } from "../../src/mime/compose.ts";

/** A small mail to vary. */
export const MAIL: Mail = {
  id: "0190d5a0-0000-7000-8000-000000000001",
  date: new Date("2026-11-21T10:00:00Z"),
  from: { email: "shop@example.com", name: "Shop" },
  to: [{ email: "ann@example.com", name: "Ann" }],
  cc: [],
  replyTo: [],
  subject: "Hello",
  text: "Hi Ann\n",
  headers: [],
  attachments: [],
};

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function text(wire: Uint8Array): string {
  return new TextDecoder().decode(wire);
}
