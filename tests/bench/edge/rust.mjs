// The worker itself, by the entry that is deployed: a class of which the runtime makes an object for
// each request.
import Gateway from "../../../worker/entry.mjs";

export function call(request, env, ctx) {
  return new Gateway(ctx, env).fetch(request);
}
