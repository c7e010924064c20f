// The two entries of the worker: the gateway, and behind the platform's cache the media entry.
import Gateway from "./build/index.js";

export class Media extends Gateway {
  fetch(request) {
    return super.media(request, this.env, this.ctx);
  }

  // A purge reaches only the cache of the entry that asks for it.
  async purge(tags) {
    const outcome = await this.ctx.cache.purge({ tags });
    return outcome.success;
  }
}

export default Gateway;
