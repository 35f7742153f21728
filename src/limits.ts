/** The limits of one mail. The client checks them before it sends anything, and the database checks them again. */
export interface Limits {
  /** All attachments together, before base64: 25,000,000 bytes. Most mail servers refuse what is larger. */
  readonly attachmentsBytes: number;
  /** Attachments of one mail: 500. */
  readonly attachments: number;
  /** To, Cc and Bcc together: 500 addresses. */
  readonly recipients: number;
  /** Reply-To: 50 addresses. */
  readonly replyTo: number;
  /** Names and values of the headers together with the subject, in UTF-8: 65,536 bytes. */
  readonly headersBytes: number;
  /** Tags of one mail: 50. */
  readonly tags: number;
  /** One tag, in UTF-8: 1 to 256 bytes. */
  readonly tagBytes: number;
  /** Names and values of the metadata together, in UTF-8: 16,384 bytes. */
  readonly metadataBytes: number;
  /** An idempotency key, in UTF-8: 1 to 256 bytes. */
  readonly idempotencyKeyBytes: number;
  /** `text` and `html`, each, in UTF-8: 10,000,000 bytes. */
  readonly bodyBytes: number;
  /** One request over Neon HTTP, encoded: 9.5 MiB, since Neon refuses 10 MiB. All other drivers have no such limit. */
  readonly neonHttpBytes: number;
}

/**
 * The limits of one mail, in one table.
 *
 * @example
 * ```ts
 * if (LIMITS.recipients !== 500) throw new Error("unexpected");
 * ```
 */
export const LIMITS: Limits = {
  attachmentsBytes: 25_000_000,
  attachments: 500,
  recipients: 500,
  replyTo: 50,
  headersBytes: 65_536,
  tags: 50,
  tagBytes: 256,
  metadataBytes: 16_384,
  idempotencyKeyBytes: 256,
  bodyBytes: 10_000_000,
  neonHttpBytes: 9.5 * 1024 * 1024,
};
