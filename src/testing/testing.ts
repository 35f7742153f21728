/**
 * For the tests of apps: a mailer that keeps mails in memory, and cases that a database driver must pass to be used as
 * a connection.
 *
 * @module
 */
export { type ConnectionCase, connectionContract, type ConnectionContractOptions } from "./connection_contract.ts";
export { fakeMailer } from "./fake_mailer.ts";
export type { FakeMessage, FakeTemplate } from "./fake_template.ts";
export type { FakeConnection, FakeMailer, FakeMailerOptions, MailFilter, SentMail } from "./fake_mailer.ts";
export type { Simulated, SimulatedReply } from "./simulate.ts";
export type { Mailbox } from "../address.ts";
export type { WireAttachment } from "../attachment.ts";
export type { Row } from "../connection.ts";
export type { Message } from "../message.ts";
export type { FilledTemplate, StoredTemplate } from "../stored_template.ts";
