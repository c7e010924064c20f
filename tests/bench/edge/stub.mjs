// What stands in for Cloudflare in the bench: a Cache API in memory and a bucket that answers at
// once, the same for every handler that is measured.

export const SIZE = 100 * 1024;
const BODY = new Uint8Array(SIZE).fill(0x61);
const stored = new Map();

// A bucket's answer, as B2 gives it.
const BUCKET_HEADERS = {
  "Content-Type": "image/png",
  "Content-Length": String(SIZE),
  ETag: '"0cc175b9c0f1b6a831c399e269772661"',
  "Last-Modified": "Sun, 01 Nov 2026 08:49:37 GMT",
  "Accept-Ranges": "bytes",
  "Cache-Control": "max-age=0, no-cache, no-store",
  "x-amz-request-id": "9a7e3d2f0c1b4a58",
  "x-amz-id-2": "aMTQwYjE4ZjU2MzM4ZTg5",
  "x-amz-version-id": "4_z27c88f1d182b150646ff0b16_f1004ba650fe24e6b",
  "Strict-Transport-Security": "max-age=63072000",
  Date: "Sun, 22 Nov 2026 10:00:00 GMT",
};

// A copy made by the runtime: making one from a list of headers would cost more than all that is to
// be measured.
const BUCKET_ANSWER = new Response(null, { headers: BUCKET_HEADERS });

const cache = {
  async match(request) {
    const url = typeof request === "string" ? request : request.url;
    const entry = stored.get(url);
    if (!entry) return undefined;
    if (typeof request !== "string") {
      const range = request.headers.get("range");
      if (range) {
        const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range);
        const part = entry.body.slice(Number(first), Number(last) + 1);
        const answer = new Response(part, { status: 206, headers: entry.answer.headers });
        answer.headers.set("Content-Length", String(part.size));
        answer.headers.set("Content-Range", `bytes ${first}-${last}/${entry.body.size}`);
        return answer;
      }
      if (request.headers.get("if-none-match") === entry.etag) {
        return new Response(null, { status: 304, headers: entry.answer.headers });
      }
    }
    return new Response(entry.body, entry.answer);
  },
  async put(request, response) {
    const url = typeof request === "string" ? request : request.url;
    const bytes = await response.arrayBuffer();
    stored.set(url, {
      answer: new Response(null, response),
      etag: response.headers.get("etag"),
      // A blob is handed out again without being copied, as the platform hands out a stream: a copy
      // of 100 KB a hit would drown what is measured.
      body: new Blob([bytes]),
    });
  },
  async delete(request) {
    return stored.delete(typeof request === "string" ? request : request.url);
  },
};

/** Puts the stand-ins in place. */
export function install() {
  Object.defineProperty(globalThis, "caches", { value: { default: cache }, configurable: true });
  // As a stream of its own: a body out of memory cannot be piped on like one from the network.
  globalThis.fetch = async () => {
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(BODY);
        controller.close();
      },
    });
    return new Response(body, BUCKET_ANSWER);
  };
}

/** Forgets what is stored. */
export function forget() {
  stored.clear();
}
