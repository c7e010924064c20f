// The two entries of the worker, both of the class that `worker-build` makes of `worker/src/lib.rs`: the
// gateway, and behind the platform's cache the media entry. Only what the platform wants to find as a
// method of an entry stands here. Calls by RPC never go through the cache
// (developers.cloudflare.com/workers/cache/limitations).
import Gateway from "./build/index.js";

export default Gateway;

export class Media extends Gateway {
  fetch(request) {
    return super.media(request, this.env);
  }

  // Under `wrangler dev`, and in an account without Workers Cache, there is none.
  hasCache() {
    return this.ctx.cache !== undefined;
  }

  // Called by the gateway, since a purge reaches only the cache of the entry that asks
  // (developers.cloudflare.com/workers/cache/purge). Without tags everything goes. Returns why the
  // platform refuses, or null where it does not.
  async purge(tags) {
    const what = tags ? { tags } : { purgeEverything: true };
    const { success, errors } = await this.ctx.cache.purge(what);
    if (success) return null;
    return errors?.map(({ code, message }) => `${code} ${message}`).join("; ") || "no reason given";
  }
}
