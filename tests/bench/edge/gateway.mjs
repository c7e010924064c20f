// The case of platform mode: a hit in the platform's cache, through the gateway. The cache is a stub in
// memory that hands out the same answer, with the headers that the media entry states.
import * as handler from "handler.mjs";
import { ENV } from "stub.mjs";

const URL_OF_HIT =
  "https://files.example.com/media_attachments/files/109/302/111/222/333/444/original/0123456789abcdef.png";
const SIZE = 100 * 1024;
const BODY = new Blob([new Uint8Array(SIZE).fill(0x61)]);
const HEADERS = {
  "Content-Type": "image/png",
  "Content-Length": String(SIZE),
  "Last-Modified": "Sun, 01 Nov 2026 08:49:37 GMT",
  "Accept-Ranges": "bytes",
  ETag: '"0cc175b9c0f1b6a831c399e269772661"',
  Date: "Sun, 22 Nov 2026 10:00:00 GMT",
  Age: "3600",
  Expires: "Mon, 22 Nov 2027 10:00:00 GMT",
  "Cache-Control": "public, max-age=31536000",
  "Access-Control-Allow-Origin": "*",
  "X-Content-Type-Options": "nosniff",
  "Content-Security-Policy": "default-src 'none'; form-action 'none'",
  "Cloudflare-CDN-Cache-Control": "public, max-age=172800, stale-while-revalidate=5, stale-if-error=2592000",
  "Cache-Tag": "/media_attachments/files/109/302/111/222/333/444/original/0123456789abcdef.png",
  "CF-Cache-Status": "HIT",
};

const Media = {
  hasCache: async () => true,
  fetch: async () => new Response(BODY, { headers: HEADERS }),
};

export default {
  async bench(c) {
    const ctx = { waitUntil() {}, passThroughOnException() {}, exports: { Media } };
    const send = () => handler.call(new Request(URL_OF_HIT), { ...ENV, CACHE_MODE: "platform" }, ctx);

    const answer = await send();
    const length = (await answer.arrayBuffer()).byteLength;
    const expected = { ...HEADERS, "X-Cache-Status": "HIT", "Server-Timing": "cache;desc=HIT" };
    for (const name of ["Cloudflare-CDN-Cache-Control", "Cache-Tag", "CF-Cache-Status"]) delete expected[name];
    const sent = JSON.stringify([...answer.headers]);
    if (answer.status !== 200 || length !== SIZE || sent !== JSON.stringify([...new Headers(expected)])) {
      throw new Error(`a hit through the gateway: ${answer.status}, ${length} bytes, ${sent}`);
    }

    for (let round = 0; round < 5000; round++) await send();
    const time = { minTime: "500ms", warmup: "300ms", samples: 25 };
    c.run("hit in platform mode", async () => c.blackBox(await send()), time);
  },
};
