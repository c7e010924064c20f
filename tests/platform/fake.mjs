// The deployed entry with what the platform adds to it: `ctx.cache`, and a cache in front of those
// entries that `[exports]` of wrangler.toml names. The loopback, its remote calls, the queue's binding
// and the batches are the runtime's own. What outlives this process is in `platform.mjs`.
import "./time.mjs";
import Gateway, { Media as Entry } from "../../worker/entry.mjs";

/** The entry called `name` behind the platform's cache. */
const behindCache = (name, Entry) =>
  class extends Entry {
    constructor(ctx, env) {
      super(ctx, env);
      if (!isCached(env, name)) return;
      const purge = async (options) => {
        const body = JSON.stringify({ entry: name, ...options });
        return (await env.PLATFORM.fetch("http://platform/purge", { method: "POST", body })).json();
      };
      Object.defineProperty(this, "ctx", {
        value: {
          waitUntil: (work) => ctx.waitUntil(work),
          passThroughOnException() {},
          exports: ctx.exports,
          cache: { purge },
        },
      });
    }

    // The key is entry, path and query; HEAD has the entry of GET (workers/cache/cache-keys).
    async fetch(request) {
      const { env } = this;
      if (!isCached(env, name)) return super.fetch(request);
      const { pathname, search } = new URL(request.url);
      const key = `http://platform/cache?${new URLSearchParams({ key: name + pathname + search, entry: name })}`;
      const found = await env.PLATFORM.fetch(key);
      if (found.status !== 204) return marked(found, "HIT", request);
      const answer = await super.fetch(new Request(request.url, { headers: without(request.headers, "Range") }));
      const rule = answer.headers.get("Cloudflare-CDN-Cache-Control") ?? "";
      const seconds = /^public, max-age=(\d+)/.exec(rule)?.[1];
      if (seconds === undefined) return marked(answer, "BYPASS", request);
      const body = await answer.arrayBuffer();
      const head = { status: answer.status, headers: [...answer.headers], seconds: Number(seconds) };
      await env.PLATFORM.fetch(key, { method: "PUT", body, headers: { "X-Head": JSON.stringify(head) } });
      return marked(new Response(body, answer), "MISS", request);
    }
  };

const isCached = (env, name) => env.EXPORTS[name]?.cache?.enabled === true;

const without = (headers, name) => {
  const copy = new Headers(headers);
  copy.delete(name);
  return copy;
};

const marked = (answer, status, request) => {
  const response = new Response(request.method === "HEAD" ? null : answer.body, answer);
  response.headers.set("Cf-Cache-Status", status);
  return response;
};

export default behindCache("default", Gateway);
export const Media = behindCache("Media", Entry);
