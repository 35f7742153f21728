/**
 * Returns bytes that a browser saves and never shows, whatever they are and whatever they are called.
 *
 * @param filename any text: only letters, digits and a few signs of it reach the plain form (RFC 6266 section 4.3)
 */
export function download(content: Uint8Array, filename: string): Response {
  const name = filename.replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069/\\]/g, "_").slice(0, 200)
    .toWellFormed();
  const plain = name.replace(/[^A-Za-z0-9 ._-]/g, "_");
  // RFC 8187 section 3.2.1: encodeURIComponent leaves three signs that attr-char does not have.
  const encoded = encodeURIComponent(name).replace(/['()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16)}`);
  // A copy: Response takes only bytes that no other thread can change, which a subarray's type does not promise.
  return new Response(new Uint8Array(content), {
    headers: {
      "content-type": "application/octet-stream",
      "content-disposition": `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`,
    },
  });
}
