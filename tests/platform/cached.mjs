// The deployed entry with Varnish between its two entries. The gateway's loopback leads to Varnish,
// Varnish asks the media entry. For that hop the rule for the cache takes the name by which Varnish
// knows it, and the client's own headers of that name step aside.
import Gateway, { Media as Entry } from "../../worker/entry.mjs";

const RULE = "Cloudflare-CDN-Cache-Control";
const ASIDE = ["Cache-Control", "Expires"];

const move = (headers, from, to) => {
  const value = headers.get(from);
  headers.delete(from);
  if (value !== null) headers.set(to, value);
};

/** An execution context with what the platform adds to it. */
const context = (ctx, added) => ({ waitUntil: (work) => ctx.waitUntil(work), passThroughOnException() {}, ...added });

export default class extends Gateway {
  constructor(ctx, env) {
    super(context(ctx, { exports: { Media: throughCache(env.CACHE) } }), env);
  }

  // Dot segments are resolved before a worker is asked, at Cloudflare's edge
  // (developers.cloudflare.com/rules/normalization) and by `wrangler dev`; the bare runtime does not.
  fetch(request) {
    return super.fetch(new Request(new URL(request.url), request));
  }
}

const throughCache = (cache) => ({
  async fetch(request) {
    const answer = await cache.fetch(new Request(request.url.replace(/^https:/, "http:"), request));
    // What the cache itself makes, because the media entry failed it, is an exception to the caller.
    if (answer.headers.has("Server")) throw new Error(`the media entry failed: ${answer.status}`);
    const response = new Response(answer.body, answer);
    move(response.headers, "Cache-Control", RULE);
    for (const name of ASIDE) move(response.headers, `Aside-${name}`, name);
    return response;
  },
  hasCache: async () => true,
  async purge(tags) {
    for (const tag of tags ?? [null]) {
      const headers = tag === null ? {} : { "Cache-Tag": tag };
      await cache.fetch("http://media.invalid/", { method: "BAN", headers });
    }
    return null;
  },
});

export class Media extends Entry {
  constructor(ctx, env) {
    super(context(ctx, { exports: {}, cache: {} }), env);
  }

  async fetch(request) {
    const answer = await super.fetch(new Request(request.url.replace(/^http:/, "https:"), request));
    const response = new Response(answer.body, answer);
    for (const name of ASIDE) move(response.headers, name, `Aside-${name}`);
    move(response.headers, RULE, "Cache-Control");
    return response;
  }
}
