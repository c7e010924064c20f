// The cases, the same for every handler: `handler.mjs` is the one that is measured.
import { call } from "handler.mjs";
import { forget, install } from "stub.mjs";

const ENV = { B2_BUCKET: "media", B2_ENDPOINT: "s3.us-west-004.backblazeb2.com", CACHE_MODE: "engine" };
const FILES = "https://files.example.com/media_attachments/files/109/302/111/222/333/444/original/";
const URL_OF_HIT = FILES + "0123456789abcdef.png";

async function expect(name, response, status, cacheStatus) {
  const cache = response.headers.get("X-Cache-Status");
  if (response.status !== status || cache !== cacheStatus) {
    throw new Error(`${name}: ${response.status} ${cache}, not ${status} ${cacheStatus}`);
  }
}

export default {
  async bench(c) {
    install();
    let pending = [];
    const ctx = { waitUntil: (work) => pending.push(work), passThroughOnException() {}, exports: {} };
    const send = (url, init) => call(new Request(url, init), ENV, ctx);
    const settle = async () => {
      while (pending.length) await Promise.allSettled(pending.splice(0));
    };

    // Store the object, and see that every case is the case it says, before anything is timed.
    const first = await send(URL_OF_HIT);
    await first.arrayBuffer();
    await settle();
    await expect("miss", first, 200, "MISS");
    await expect("hit", await send(URL_OF_HIT), 200, "HIT");
    const range = { headers: { Range: "bytes=1000-1999" } };
    await expect("range", await send(URL_OF_HIT, range), 206, "HIT");
    const known = { headers: { "If-None-Match": first.headers.get("etag") } };
    await expect("not modified", await send(URL_OF_HIT, known), 304, "HIT");
    await expect("refusal", await send(URL_OF_HIT, { method: "POST" }), 403, null);
    await settle();

    await c.run("hit", async () => c.blackBox(await send(URL_OF_HIT)));
    await c.run("range", async () => c.blackBox(await send(URL_OF_HIT, range)));
    await c.run("not modified", async () => c.blackBox(await send(URL_OF_HIT, known)));
    await c.run("refusal", async () => c.blackBox(await send(URL_OF_HIT, { method: "POST" })));
    let serial = 0;
    await c.run("miss", async () => {
      const response = await send(`${FILES}${serial++}.png`);
      await response.arrayBuffer();
      await settle();
      if (serial % 64 === 0) forget();
    });
  },
};
