/** One address that a message goes to. */
export interface EnvelopeRecipient {
  /** Its place in the message, counted from 0 over To, then Cc, then Bcc; the key of its state in the database. */
  readonly position: number;
  readonly email: string;
}

/** What SMTP is told (RFC 5321 section 2.3.1), apart from the content. Bcc recipients exist only here. */
export interface Envelope {
  /** Comes back in delivery reports (ENVID, RFC 3461 section 4.4): the message's id. */
  readonly id?: string | undefined;
  /** Where bounces go; the empty string is the null reverse-path `<>`. */
  readonly reversePath: string;
  readonly recipients: readonly EnvelopeRecipient[];
}
