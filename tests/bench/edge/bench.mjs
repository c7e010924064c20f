// The cases of engine mode, the same for every handler: `handler.mjs` is the one that is measured.
import * as handler from "handler.mjs";
import { ENV, forget, install, puts } from "stub.mjs";

const IN_ENGINE = { ...ENV, CACHE_MODE: "engine" };
const FILES = "https://files.example.com/media_attachments/files/109/302/111/222/333/444/original/";
const SIZE = 100 * 1024;
const URL_OF_HIT = FILES + "0123456789abcdef.png";

// Enough for a median within some percent; rounds do the rest.
const TIME = { minTime: "500ms", warmup: "300ms", samples: 25 };

// A miss leaves streams behind, which the collector comes to later, and then for long: its part is only
// in the figure once it has come.
const TIME_OF_MISSES = { minTime: "2s", warmup: "1500ms", samples: 50 };

/** Sees that an answer is the one it is timed as: status, cache status, bytes and headers. */
async function expect(name, response, status, cache, bytes) {
  const headers = response.headers;
  const length = (await response.arrayBuffer()).byteLength;
  // Somebody else's worker has headers and refusals of its own.
  if (handler.call.published) {
    const isRight = cache === null ? response.status === 405 : response.status === status && length === bytes;
    if (!isRight) throw new Error(`${name}: ${response.status}, ${length} bytes; not ${status}, ${bytes} bytes`);
    return;
  }
  const isSecure =
    headers.get("X-Content-Type-Options") === "nosniff" &&
    headers.get("Content-Security-Policy") === "default-src 'none'; form-action 'none'";
  const isComplete = cache === null ? isSecure : isSecure && [
    headers.get("Cache-Control") === "public, max-age=31536000",
    Math.abs(Date.parse(headers.get("Expires")) - Date.now() - 31_536_000_000) < 60_000,
    headers.get("Access-Control-Allow-Origin") === "*",
    headers.get("Server-Timing")?.startsWith(`cache;desc=${cache}`),
    status === 304 || headers.get("Content-Length") === String(bytes),
    headers.get("ETag") === '"0cc175b9c0f1b6a831c399e269772661"',
    !headers.has("x-amz-request-id") && !headers.has("x-amz-id-2") && !headers.has("x-amz-version-id"),
  ].every(Boolean);
  if (response.status !== status || headers.get("X-Cache-Status") !== cache || length !== bytes || !isComplete) {
    const seen = JSON.stringify([...headers]);
    throw new Error(`${name}: ${response.status}, ${length} bytes, ${seen}; not ${status} ${cache}, ${bytes} bytes`);
  }
}

export default {
  async bench(c) {
    install();
    const pending = [];
    const ctx = { waitUntil: (work) => pending.push(work), passThroughOnException() {}, exports: {} };
    const send = (url, init) => handler.call(new Request(url, init), IN_ENGINE, ctx);
    const settle = async () => {
      while (pending.length) await Promise.all(pending.splice(0));
    };

    // Store the object, and see that every case is the case it says, before anything is timed.
    const range = { headers: { Range: "bytes=1000-1999" } };
    const known = { headers: { "If-None-Match": '"0cc175b9c0f1b6a831c399e269772661"' } };
    const post = { method: "POST" };
    const refused = "403 Forbidden\n".length;
    await expect("miss", await send(URL_OF_HIT), 200, "MISS", SIZE);
    await settle();
    await expect("hit", await send(URL_OF_HIT), 200, "HIT", SIZE);
    await expect("range", await send(URL_OF_HIT, range), 206, "HIT", 1000);
    await expect("not modified", await send(URL_OF_HIT, known), 304, "HIT", 0);
    await expect("refusal", await send(URL_OF_HIT, post), 403, null, refused);
    await settle();

    // The first thousands of rounds say more of the collector of garbage than of what is run.
    for (let round = 0; round < 5000; round++) await send(URL_OF_HIT);

    const time = (name, body, length = TIME) => c.run(name, body, length);
    time("hit", async () => c.blackBox(await send(URL_OF_HIT)));
    time("range", async () => c.blackBox(await send(URL_OF_HIT, range)));
    time("not modified", async () => c.blackBox(await send(URL_OF_HIT, known)));
    time("refusal", async () => c.blackBox(await send(URL_OF_HIT, post)));
    // What every miss has in it: the runtime's part and the bucket's.
    const signed = { headers: { Authorization: "AWS4-HMAC-SHA256 Credential=" } };
    time("the bucket alone", async () => (await fetch(URL_OF_HIT, signed)).arrayBuffer());
    // What comes of the last of each kind is looked at too: a bench that times a failure is none.
    let serial = 0;
    time("miss", async () => {
      const before = puts();
      const response = await send(`${FILES}${serial++}.png`);
      const length = (await response.arrayBuffer()).byteLength;
      await settle();
      if (length !== SIZE || puts() !== before + 1) throw new Error("a miss is none");
      if (serial % 64 === 0) forget();
    }, TIME_OF_MISSES);
  },
};
