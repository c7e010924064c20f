// What of the platform outlives the worker's processes: the cache's copies, the limit on purges, and
// the queues. The limits are the documented ones (developers.cloudflare.com/workers/cache/purge,
// developers.cloudflare.com/queues/configuration), but for the size of the bucket of purge calls,
// which is 25 there and 5 here.

const PURGES_A_MINUTE = 5;
const TAGS_A_PURGE = 100;

// A purge is done before its caller learns of it, so that a caller can be killed in between.
const PURGE_ANSWER_MS = 150;

const state = {
  copies: new Map(),
  fills: [],
  queues: new Map(),
  dead: [],
  purges: [],
  deliveries: [],
  tokens: PURGES_A_MINUTE,
  refilledAt: 0,
  refusing: false,
};
let number = 0;

/** How a batch ended that has not ended. */
const UNDER_WAY = "under way";

/** The platform's time, which passes as fast as the worker's. */
const now = (env) => Number(env.BEGAN) + (Date.now() - Number(env.BEGAN)) * Number(env.SPEED);

function purge({ entry, tags = [], purgeEverything = false }, env) {
  const at = now(env);
  const gained = ((at - (state.refilledAt || at)) * PURGES_A_MINUTE) / 60_000;
  state.tokens = Math.min(PURGES_A_MINUTE, state.tokens + gained);
  state.refilledAt = at;
  const refusal =
    state.refusing || state.tokens < 1
      ? { code: 10429, message: "too many purge calls" }
      : tags.length > TAGS_A_PURGE
        ? { code: 10400, message: "too many tags" }
        : tags.length === 0 && !purgeEverything
          ? { code: 10400, message: "nothing to purge" }
          : null;
  state.purges.push({ at, entry, tags, purgeEverything, refusal });
  const delivery = state.deliveries.at(-1);
  if (delivery?.outcome === UNDER_WAY) delivery.calls += 1;
  if (refusal) return { success: false, errors: [refusal] };
  state.tokens -= 1;
  // Tags are matched without case.
  const named = new Set(tags.map((tag) => tag.toLowerCase()));
  for (const [key, copy] of state.copies) {
    const hit = purgeEverything || copy.tags.some((tag) => named.has(tag.toLowerCase()));
    if (copy.entry === entry && hit) state.copies.delete(key);
  }
  return { success: true, errors: [] };
}

async function cache(request, parameters, env) {
  const [key, entry] = [parameters.get("key"), parameters.get("entry")];
  if (request.method === "PUT") {
    const { status, headers, seconds } = JSON.parse(request.headers.get("X-Head"));
    const body = await request.arrayBuffer();
    const tags = (new Headers(headers).get("Cache-Tag") ?? "").split(",").filter(Boolean);
    state.copies.set(key, { entry, status, headers, body, tags, until: now(env) + seconds * 1000 });
    state.fills.push({ key, entry, tags, rule: new Headers(headers).get("Cloudflare-CDN-Cache-Control") });
    return new Response();
  }
  const copy = state.copies.get(key);
  if (!copy || copy.until <= now(env)) return new Response(null, { status: 204 });
  return new Response(copy.body, { status: copy.status, headers: copy.headers });
}

function enqueue(queue, body, env, delay = 0, attempts = 1) {
  if (!state.queues.has(queue)) state.queues.set(queue, []);
  const at = now(env);
  state.queues.get(queue).push({ id: `message-${++number}`, timestamp: at, body, attempts, due: at + delay * 1000 });
}

/** A batch that is due: full, or as old as a batch may get. */
function take(consumer, env) {
  const waiting = state.queues.get(consumer.queue) ?? [];
  const due = waiting.filter((message) => message.due <= now(env)).slice(0, consumer.max_batch_size);
  const isOld = due.length > 0 && now(env) - due[0].due >= consumer.max_batch_timeout * 1000;
  if (due.length < consumer.max_batch_size && !isOld) return [];
  state.queues.set(consumer.queue, waiting.filter((message) => !due.includes(message)));
  return due;
}

async function deliver(batch, consumer, env) {
  const messages = batch.map(({ id, timestamp, body, attempts }) => ({ id, timestamp, body, attempts }));
  const delivery = { messages: batch.length, attempts: batch[0].attempts, outcome: UNDER_WAY, calls: 0, acknowledged: 0 };
  state.deliveries.push(delivery);
  let result;
  try {
    const body = JSON.stringify({ queue: consumer.queue, messages });
    result = await (await env.CONSUMER.fetch("http://consumer/", { method: "POST", body })).json();
  } catch {
    result = { outcome: "consumer lost", retryBatch: { retry: false }, retryMessages: [], explicitAcks: [] };
  }
  delivery.outcome = result.outcome;
  const acknowledged = new Set(result.explicitAcks);
  const delays = new Map(result.retryMessages.map(({ msgId, delaySeconds }) => [msgId, delaySeconds]));
  const isRetried = ({ id }) =>
    delays.has(id) || (!acknowledged.has(id) && !result.ackAll && (result.outcome !== "ok" || result.retryBatch.retry));
  for (const message of batch) {
    if (!isRetried(message)) delivery.acknowledged += 1;
    else if (message.attempts > consumer.max_retries) state.dead.push({ queue: consumer.dead_letter_queue, ...message });
    else {
      const delay = delays.get(message.id) ?? result.retryBatch.delaySeconds ?? consumer.retry_delay ?? 0;
      const waiting = state.queues.get(consumer.queue);
      waiting.push({ ...message, attempts: message.attempts + 1, due: now(env) + delay * 1000 });
    }
  }
}

export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    switch (pathname) {
      case "/purge": {
        const outcome = purge(await request.json(), env);
        await scheduler.wait(PURGE_ANSWER_MS);
        return Response.json(outcome);
      }
      case "/cache":
        return cache(request, searchParams, env);
      case "/message": // by the runtime's queue binding
        enqueue(env.QUEUE, JSON.parse(await request.text()), env, Number(request.headers.get("X-Msg-Delay-Secs")));
        return Response.json({ metadata: { metrics: {} } });
      case "/refuse":
        state.refusing = (await request.text()) === "true";
        return new Response();
      case "/state": {
        const { fills, dead, purges, deliveries } = state;
        const waiting = [...state.queues.values()].flat().length;
        return Response.json({ fills, dead, purges, deliveries, waiting });
      }
      // Delivers batches, one after the other (`max_concurrency` is 1), as long as the caller stays.
      case "/run":
        for (;;) {
          const batch = take(env.QUEUE_CONSUMER, env);
          if (batch.length > 0) await deliver(batch, env.QUEUE_CONSUMER, env);
          else await scheduler.wait(5);
        }
      default:
        return new Response(null, { status: 404 });
    }
  },
};
