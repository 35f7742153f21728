"""Reads mails with Python's email package: one base64 mail a line in, one JSON object a line out (readers.ts: Reading)."""

import base64
import email
import email.policy
import functools
import hashlib
import json
import sys


FIELDS = {"plain": "text", "html": "html", "calendar": "calendar"}


WRITTEN = set(
    """date from to cc reply-to subject message-id mime-version x-note content-type content-transfer-encoding
    content-disposition return-path x-original-to delivered-to received""".split()
)


class Remembering(email.policy.EmailPolicy):
    """The default policy parses a header anew whenever it is asked for."""

    @functools.lru_cache(maxsize=1_000)
    def header_fetch_parse(self, name, value):
        return super().header_fetch_parse(name, value)


POLICY = Remembering()


def mailboxes(message, name):
    header = message[name]
    return [] if header is None else [[address.display_name, address.addr_spec] for address in header.addresses]


def content(part):
    if part.get_content_type() != "message/rfc822":
        return part.get_payload(decode=True)
    inner = part.get_payload(0).as_bytes(policy=email.policy.compat32)
    return inner.replace(b"\r\n", b"\n").rstrip(b"\n")


def file(part):
    return [
        part.get_filename() or "",
        part.get_content_type(),
        part.get_content_disposition() or "",
        part["Content-ID"] or "",
        hashlib.sha1(content(part)).hexdigest(),
    ]


def tree(part):
    if part.get_content_maintype() != "multipart":
        return part.get_content_subtype()
    return part.get_content_subtype() + "(" + " ".join(tree(inner) for inner in part.iter_parts()) + ")"


def leaves(part):
    """Like walk(), but without a look into attached messages."""
    if part.defects:
        raise ValueError(f"defects: {part.defects}")
    if part.get_content_maintype() != "multipart":
        yield part
        return
    for inner in part.iter_parts():
        yield from leaves(inner)


def read(raw):
    message = email.message_from_bytes(raw, policy=POLICY)
    reading = {
        "subject": message["Subject"] or "",
        "note": message["X-Note"] or "",
        "from": mailboxes(message, "From"),
        "to": mailboxes(message, "To"),
        "cc": mailboxes(message, "Cc"),
        "replyTo": mailboxes(message, "Reply-To"),
        "dateMs": message["Date"].datetime.timestamp() * 1000,
        "messageId": message["Message-ID"],
        "headers": [[name.lower(), str(value)] for name, value in message.items() if name.lower() not in WRITTEN],
        "text": "",
        "html": "",
        "calendar": "",
        "tree": tree(message),
        "files": [],
    }
    for part in leaves(message):
        if part.get_content_disposition() is None and part.get_content_maintype() == "text":
            reading[FIELDS[part.get_content_subtype()]] = part.get_content()
        else:
            reading["files"].append(file(part))
    return reading


for line in sys.stdin:
    print(json.dumps(read(base64.b64decode(line))), flush=True)
