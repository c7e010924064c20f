// The bucket, the same for every handler that is measured: a worker beside it that answers at once
// with the headers that B2 gives. What it sends arrives as a stream of the runtime's own, as from the
// network: one made in JavaScript costs otherwise, and so does all that is done with it.

const SIZE = 100 * 1024;
const BODY = new Uint8Array(SIZE).fill(0x61);

const HEADERS = {
  "Content-Type": "image/png",
  "Content-Length": String(SIZE),
  "Last-Modified": "Sun, 01 Nov 2026 08:49:37 GMT",
  "Accept-Ranges": "bytes",
  "Cache-Control": "max-age=0, no-cache, no-store",
  "x-amz-id-2": "aMTQwYjE4ZjU2MzM4ZTg5",
  "x-amz-version-id": "4_z27c88f1d182b150646ff0b16_f1004ba650fe24e6b",
  "Strict-Transport-Security": "max-age=63072000",
  Date: "Sun, 22 Nov 2026 10:00:00 GMT",
};

// The object that is read again and again.
const KNOWN = "/0123456789abcdef.png";
const KNOWN_TAG = '"0cc175b9c0f1b6a831c399e269772661"';

let answers = 0;

export default {
  fetch(request) {
    // It is private.
    const signature = request.headers.get("Authorization");
    if (!signature?.startsWith("AWS4-HMAC-SHA256 Credential=")) return new Response(null, { status: 403 });
    // No two objects have the same tag: what was made of one's headers is of no use to the next.
    const number = (answers++).toString(16);
    const ETag = request.url.endsWith(KNOWN) ? KNOWN_TAG : `"${number.padStart(32, "0")}"`;
    const headers = { ...HEADERS, ETag, "x-amz-request-id": number.padStart(16, "0") };
    return new Response(BODY, { headers });
  },
};
