import { domainOf, type Mailbox } from "../address.ts";

/**
 * Returns the Message-ID: fixed from the first attempt on, so that a receiver can tell a second copy.
 *
 * @example
 * ```ts
 * const id = messageId({ id: "0190d5a0-0000-7000-8000-000000000000", from: { email: "a@Bücher.example" } });
 * if (id !== "<0190d5a0-0000-7000-8000-000000000000@xn--bcher-kva.example>") throw new Error("unexpected");
 * ```
 */
export function messageId(mail: { readonly id: string; readonly from: Mailbox }): string {
  return `<${mail.id}@${domainOf(mail.from.email)}>`;
}
