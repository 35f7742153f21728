// Reports that come back as mails, as mail servers write them.

/** What a report says of one recipient. */
export interface Said {
  readonly address: string;
  readonly action?: string;
  readonly status?: string;
  readonly diagnostic?: string;
}

/** A report as Postfix writes it, with the header of the mail. */
export function reportOf(id: string, ...said: readonly Said[]): string {
  const recipients = said.map(({ address, action = "failed", status = "5.1.1", diagnostic }) =>
    `Final-Recipient: rfc822; ${address}
Original-Recipient: rfc822;${address}
Action: ${action}
Status: ${status}
Remote-MTA: dns; mx.example.com
Diagnostic-Code: ${
      diagnostic ?? `smtp; 550 ${status} <${address}>: no such
    user here`
    }
`
  );
  return `From MAILER-DAEMON  Sun Nov 22 19:00:00 2026
Return-Path: <>
From: MAILER-DAEMON@mail.corp.example (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: bounces@corp.example
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="BOUNDARY"

--BOUNDARY
Content-Type: text/plain

I'm sorry to have to inform you.

--BOUNDARY
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.corp.example
Original-Envelope-Id: ${id}

${recipients.join("\n")}
--BOUNDARY
Content-Type: text/rfc822-headers

Message-ID: <${id}@shop.example>

--BOUNDARY--
`;
}

/** A read receipt as the program of a reader writes it (RFC 8098). */
export function receiptOf(id: string, address: string, disposition = "displayed"): string {
  return `From: <${address}>
To: <receipts@shop.example>
Subject: Read: Hello
MIME-Version: 1.0
Content-Type: multipart/report; report-type=disposition-notification; boundary="BOUNDARY"

--BOUNDARY
Content-Type: text/plain

Your message was read.

--BOUNDARY
Content-Type: message/disposition-notification

Reporting-UA: laptop.example; Mail 16.0
Final-Recipient: rfc822;${address}
Original-Message-ID: <${id}@shop.example>
Disposition: manual-action/MDN-sent-manually; ${disposition}

--BOUNDARY--
`;
}

/** A complaint as an access provider writes it (RFC 5965). */
export function complaintOf(id: string, type = "abuse"): string {
  return `From: <complaints@isp.example>
To: <abuse@shop.example>
Subject: FW: Earn money
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="BOUNDARY"

--BOUNDARY
Content-Type: text/plain

This is an email abuse report.

--BOUNDARY
Content-Type: message/feedback-report

Feedback-Type: ${type}
User-Agent: SomeGenerator/1.0
Version: 1

--BOUNDARY
Content-Type: message/rfc822

From: <shop@shop.example>
Message-ID: <${id}@shop.example>
Subject: Earn money

Spam Spam Spam
--BOUNDARY--
`;
}
