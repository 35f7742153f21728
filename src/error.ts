/** What went wrong, as a closed list: decide by the code, never by the words of the message. */
export type MailchuteErrorCode =
  /** The input is wrong; `issues` says where and why. Nothing was stored. */
  | "validation_error"
  /** A limit of size or count was passed; `issues` names it. */
  | "too_large"
  /** The app's role may not send as this From, Sender or return path (`mailchute grants`). */
  | "sender_not_allowed"
  /** The app's role may not send to this address (`mailchute grants --to`). */
  | "recipient_not_allowed"
  /**
   * The app's role may not go past the suppression list with `overrideSuppression` (`mailchute grants
   * --may-override-suppression`).
   */
  | "override_not_allowed"
  /** The idempotency key, or the name of the batch, was used before, for a different mail. */
  | "idempotency_conflict"
  /**
   * What is given as `tx` is no open transaction; or it is missing, and the mailer was made with `transaction:
   * "required"`.
   */
  | "transaction_required"
  /** The object given as `db` or `tx` is no connection that we know by its shape. */
  | "connection_unsupported"
  /** The database has no mailchute schema, or one older than this client. */
  | "not_migrated"
  /** The database role has no right to enqueue (`mailchute grants`). */
  | "permission_denied"
  /** More messages wait than `RELAY_MAX_QUEUE` allows. Nothing was stored: try again later. */
  | "queue_full"
  /** No answer within the deadline. The mail may or may not be queued: send again with the same idempotency key. */
  | "timeout"
  /** Any other refusal or failure of the database; `cause` holds the driver's error. */
  | "database_error";

/** One fault of the input: where, and what to do about it. */
export interface Issue {
  /** The path in the message, such as `to.0` or `attachments.1.content`. */
  readonly path: string;
  /** What is wrong with it, and what it should be. */
  readonly message: string;
}

/** The one error class of the client. Its message holds no content, address lists or credentials. */
export class MailchuteError extends Error {
  /** The name of the class, for logs. */
  override readonly name = "MailchuteError";
  /** What went wrong: decide by it. */
  readonly code: MailchuteErrorCode;
  /** Every fault of the input; empty when the input is not the cause. */
  readonly issues: readonly Issue[];

  /** Makes an error; apps only do so in their own tests. */
  constructor(
    code: MailchuteErrorCode,
    message: string,
    options: { readonly issues?: readonly Issue[]; readonly cause?: unknown } = {},
  ) {
    super(message, options);
    this.code = code;
    this.issues = options.issues ?? [];
  }
}
