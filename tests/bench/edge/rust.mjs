// The worker itself, called as the runtime calls it.
import Gateway from "index.js";

export function call(request, env, ctx) {
  return Gateway.prototype.fetch.call({ env, ctx }, request);
}
