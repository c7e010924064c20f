// The two entries of the worker: the gateway, which `worker-build` makes from `worker/src/lib.rs`, and behind
// the platform's cache the media entry. Only the methods that the platform calls are here. Calls by RPC
// bypass the cache (developers.cloudflare.com/workers/cache/limitations).
import Gateway from "./build/index.js";

export default Gateway;

export class Media extends Gateway {
  fetch(request) {
    return super.media(request, this.env);
  }

  // False under `wrangler dev`, and in an account without Workers Cache.
  hasCache() {
    return this.ctx.cache !== undefined;
  }

  // Called by the gateway, because a purge reaches only the cache of the entry that calls it
  // (developers.cloudflare.com/workers/cache/purge). Without tags everything is purged. Returns null, or why
  // the platform has refused.
  async purge(tags) {
    if (!this.hasCache()) return "the media entry has no cache";
    const what = tags ? { tags } : { purgeEverything: true };
    const { success, errors } = await this.ctx.cache.purge(what);
    if (success) return null;
    return errors?.map(({ code, message }) => `${code} ${message}`).join("; ") || "no reason given";
  }
}
