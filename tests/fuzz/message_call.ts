import type { MessageInput } from "../../mod.ts";
import { type Call, DEFAULT_FROM } from "./call.ts";
import { meaningOf } from "./meaning.ts";
import { type MessageDraft, shaped } from "./message_draft.ts";
import { leadsIntoMail } from "./path.ts";

/** Sends a mail. */
export function messageCall(draft: MessageDraft): Call {
  return {
    input: draft,
    isValid: draft.isValid,
    send: async (mail) => [(await mail.send(shaped(draft) as MessageInput)).id],
    leadsIn: (path) => leadsIntoMail(path, draft.fields),
    meanings: async () => [await meaningOf(draft.fields, DEFAULT_FROM)],
  };
}
