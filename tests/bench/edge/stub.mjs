// What stands in for Cloudflare's Cache API in the bench: one in memory, the same for every handler that
// is measured.

/** What a worker is given that reads a private bucket. */
export const ENV = {
  B2_BUCKET: "media",
  B2_ENDPOINT: "s3.us-west-004.backblazeb2.com",
  ORIGIN_AUTH: "sigv4",
  B2_APPLICATION_KEY_ID: "00161f959a5f87b0000000005",
  B2_APPLICATION_KEY: "K001testsecretkeyofthetestserver",
};

const stored = new Map();
let stores = 0;

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
    stores++;
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

/** Puts it in place. */
export function install() {
  Object.defineProperty(globalThis, "caches", { value: { default: cache }, configurable: true });
}

/** How often something was stored. */
export function puts() {
  return stores;
}

/** Forgets what is stored. */
export function forget() {
  stored.clear();
}
