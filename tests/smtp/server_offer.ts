import type { ScriptedServerOptions } from "../scripted_server.ts";

/** What a scripted server answers to EHLO: what it offers, and STARTTLS and AUTH where they make sense. */
export function ehloReply(options: ScriptedServerOptions, isTls: boolean): string {
  const { offer = ["PIPELINING", "8BITMIME"], tls = "none", auth } = options;
  const lines = ["scripted.example", ...offer];
  if (tls === "starttls" && !isTls) lines.push("STARTTLS");
  if (auth !== undefined && (isTls || tls === "none")) lines.push("AUTH PLAIN LOGIN");
  return lines.map((text, index) => `250${index === lines.length - 1 ? " " : "-"}${text}`).join("\r\n");
}
