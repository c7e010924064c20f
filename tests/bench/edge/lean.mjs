// The same rules as lean as they can be made: final headers are stored, and a hit sets one.

const FRESH_MS = 172_800_000;
const ANSWER_TIMEOUT_MS = 20_000;
const PLAIN = /^https?:\/\/[^/]+((?:\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+)$/;
const STRIPPED = /^(set-cookie|server|via|x-powered-by|access-control-.*|x-amz.*|x-bz-.*)$/;

const SECURITY = {
  "X-Content-Type-Options": "nosniff",
  "Content-Security-Policy": "default-src 'none'; form-action 'none'",
};

// The keys that this isolate is fetching.
const fills = new Set();

function text(status, reason) {
  return new Response(`${status} ${reason}\n`, { status, headers: SECURITY });
}

function admit(url) {
  // Most names need no decoding; for the rest there is the long way.
  const plain = PLAIN.exec(url);
  if (plain) return plain[1];
  try {
    const key = decodeURIComponent(new URL(url).pathname).replaceAll(/\/{2,}/g, "/").slice(1) || "index.html";
    return /[\0-\x1f\x7f-\x9f]/.test(key) ? undefined : "/" + key.split("/").map(encodeURIComponent).join("/");
  } catch {
    return undefined;
  }
}

async function ask(url) {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), ANSWER_TIMEOUT_MS);
  try {
    return await fetch(url, { cache: "no-store", redirect: "manual", signal: controller.signal });
  } finally {
    clearTimeout(timer);
  }
}

export async function call(request, env, ctx) {
  if (request.method !== "GET" && request.method !== "HEAD") return text(403, "Forbidden");
  const path = admit(request.url);
  if (path === undefined) return text(400, "Bad Request");
  if (path.startsWith("/backups/")) return text(403, "Forbidden");
  if (path.length > 1025) return text(414, "URI Too Long");
  const name = "https://cache.internal" + path;
  const asked = request.headers;
  const special = asked.has("range") || asked.has("if-none-match") || asked.has("if-modified-since");
  for (;;) {
    const found = await caches.default.match(special ? new Request(name, { headers: asked }) : name);
    if (found && Date.now() - Number(found.headers.get("X-Cache-Status")) < FRESH_MS) {
      const answer = new Response(found.body, found);
      answer.headers.set("X-Cache-Status", "HIT");
      return answer;
    }
    if (!fills.has(name)) break;
    await new Promise((done) => setTimeout(done, 50));
  }
  fills.add(name);
  const fetched = await ask(`https://${env.B2_ENDPOINT}/${env.B2_BUCKET}${path}`);
  if (fetched.status !== 200) {
    fills.delete(name);
    return fetched;
  }
  const headers = new Headers(fetched.headers);
  for (const field of fetched.headers.keys()) if (STRIPPED.test(field)) headers.delete(field);
  headers.set("Cache-Control", "public, max-age=31536000");
  headers.set("Expires", new Date(Date.now() + 31_536_000_000).toUTCString());
  headers.set("Access-Control-Allow-Origin", "*");
  headers.set("X-Content-Type-Options", "nosniff");
  headers.set("Content-Security-Policy", "default-src 'none'; form-action 'none'");
  headers.set("X-Cache-Status", String(Date.now()));
  headers.set("Server-Timing", "cache;desc=HIT");
  const [client, kept] = fetched.body.tee();
  const put = caches.default.put(name, new Response(kept, { headers }));
  ctx.waitUntil(put.finally(() => fills.delete(name)));
  const answer = new Response(client, { headers });
  answer.headers.set("X-Cache-Status", "MISS");
  answer.headers.set("Server-Timing", "cache;desc=MISS");
  return answer;
}
