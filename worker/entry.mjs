// The two entries of the worker, both of the class that `worker-build` makes of `worker/src/lib.rs`: the
// gateway, and behind the platform's cache the media entry. Only what the platform wants to find as a
// method of an entry stands here.
import Gateway from "./build/index.js";

export default Gateway;

export class Media extends Gateway {
  fetch(request) {
    return super.media(request, this.env);
  }

  // Called by the gateway and never cached: a purge reaches only the cache of the entry that asks.
  async purge(tags) {
    if (!this.ctx.cache) return false;
    const outcome = await this.ctx.cache.purge({ tags });
    return outcome.success;
  }
}
