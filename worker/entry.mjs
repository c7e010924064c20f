// The two entries of the worker: the gateway, and behind the platform's cache the media entry.
// Reads go through `worker/src/gateway.rs` and `worker/src/media.rs`; only what the platform
// wants to find as a method of an entry stands here.
import { WorkerEntrypoint } from "cloudflare:workers";
import { fetch, media } from "./build/index.js";

export default {
  fetch(request, env, ctx) {
    return fetch(request, env, ctx);
  },

  // Purges that were queued in platform mode, up to a hundred in a batch.
  async queue(batch, env, ctx) {
    const tags = batch.messages.map((message) => message.body);
    if (await ctx.exports.Media.purge(tags)) batch.ackAll();
    else batch.retryAll();
  },
};

export class Media extends WorkerEntrypoint {
  fetch(request) {
    return media(request, this.env, this.ctx);
  }

  // Called by the gateway and never cached: a purge reaches only the cache of the entry that asks.
  async purge(tags) {
    if (!this.ctx.cache) return false;
    const outcome = await this.ctx.cache.purge({ tags });
    return outcome.success;
  }
}
