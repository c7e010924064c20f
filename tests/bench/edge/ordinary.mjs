// The edge's rules by hand in plain JavaScript, in the ordinary way: what is stored is the bucket's
// answer, and each hit is a copy of it whose headers are edited.
import { AwsClient } from "aws4fetch";

const FRESH_MS = 172_800_000;
const STALE_MS = 2_592_000_000;
const ANSWER_TIMEOUT_MS = 20_000;
const LONGEST_WAIT_MS = 5_000;
const STRIPPED = ["Set-Cookie", "Server", "Via", "X-Powered-By", "x-amz-request-id", "x-amz-id-2", "x-amz-version-id"];
const CONDITIONS = ["Range", "If-Range", "If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since"];

const SECURITY = {
  "X-Content-Type-Options": "nosniff",
  "Content-Security-Policy": "default-src 'none'; form-action 'none'",
};

// The keys that this isolate is fetching.
const fills = new Set();

let signer;

function dress(response, status) {
  const answer = new Response(response.body, response);
  for (const name of STRIPPED) answer.headers.delete(name);
  answer.headers.set("Cache-Control", "public, max-age=31536000");
  answer.headers.set("Expires", new Date(Date.now() + 31_536_000_000).toUTCString());
  answer.headers.set("Access-Control-Allow-Origin", "*");
  answer.headers.set("X-Content-Type-Options", "nosniff");
  answer.headers.set("Content-Security-Policy", "default-src 'none'; form-action 'none'");
  say(answer.headers, status);
  answer.headers.delete("X-Stored-At");
  return answer;
}

function say(headers, status) {
  headers.set("X-Cache-Status", status);
  headers.set("Server-Timing", `cache;desc=${status}`);
}

function text(status, reason) {
  return new Response(`${status} ${reason}\n`, { status, headers: SECURITY });
}

function age(found) {
  return Date.now() - Number(found.headers.get("X-Stored-At"));
}

async function ask(env, path, headers) {
  const url = `${env.ORIGIN_URL ?? `https://${env.B2_ENDPOINT}/${env.B2_BUCKET}`}/${path}`;
  signer ??= new AwsClient({
    accessKeyId: env.B2_APPLICATION_KEY_ID,
    secretAccessKey: env.B2_APPLICATION_KEY,
    service: "s3",
    region: env.B2_ENDPOINT.split(".")[1],
  });
  for (let attempt = 0; ; attempt++) {
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), ANSWER_TIMEOUT_MS);
    try {
      const signed = await signer.sign(url, { headers });
      const answer = await fetch(signed, { cache: "no-store", redirect: "manual", signal: controller.signal });
      if (answer.status < 500 || attempt === 1) return answer;
    } catch (error) {
      if (attempt === 1) throw error;
    } finally {
      clearTimeout(timer);
    }
    await new Promise((done) => setTimeout(done, 200));
  }
}

async function purge(request, env, name) {
  const secret = request.headers.get("X-Purge-Secret");
  if (!env.PURGE_SECRET || secret !== env.PURGE_SECRET) return text(403, "Forbidden");
  return (await caches.default.delete(name)) ? text(200, "OK") : text(404, "Not Found");
}

function keep(name, fetched, ctx) {
  const copy = new Response(fetched.clone().body, fetched);
  copy.headers.set("Cache-Control", "public, max-age=2764800");
  copy.headers.set("X-Stored-At", String(Date.now()));
  const put = caches.default.put(name, copy);
  ctx.waitUntil(put.finally(() => fills.delete(name)));
}

async function fill(env, name, path, stale, ctx) {
  const etag = stale?.headers.get("ETag");
  let fetched;
  try {
    fetched = await ask(env, path, etag ? { "If-None-Match": etag } : {});
  } catch {
    fills.delete(name);
    return stale ? dress(stale, "STALE") : text(502, "Bad Gateway");
  }
  if (fetched.status === 304) {
    keep(name, stale, ctx);
    return dress(stale, "REVALIDATED");
  }
  if (fetched.status === 200) {
    keep(name, fetched, ctx);
    return dress(fetched, stale ? "EXPIRED" : "MISS");
  }
  fills.delete(name);
  if (fetched.status >= 500 && stale) return dress(stale, "STALE");
  if (stale) ctx.waitUntil(caches.default.delete(name));
  return new Response(fetched.body, fetched);
}

// The gateway in front of the platform's cache, which has the object with its final headers.
async function through(path, method, headers, ctx) {
  const url = `https://media.invalid/${path}`;
  const range = headers.get("Range");
  headers.delete("Range");
  const etag = headers.get("If-None-Match");
  if (etag || [...headers].length) {
    const about = await ctx.exports.Media.fetch(new Request(url, { method: "HEAD" }));
    if (etag === about.headers.get("ETag")) return new Response(null, { status: 304, headers: about.headers });
  }
  const answer = await ctx.exports.Media.fetch(new Request(url, { method, headers: range ? { Range: range } : {} }));
  const copy = new Response(answer.body, answer);
  const status = copy.headers.get("CF-Cache-Status");
  for (const name of ["CF-Cache-Status", "Cloudflare-CDN-Cache-Control", "Cache-Tag"]) copy.headers.delete(name);
  say(copy.headers, status);
  return copy;
}

export async function call(request, env, ctx) {
  const { method } = request;
  const purging = method === "PURGE" || ((method === "POST" || method === "DELETE") && request.headers.has("X-Purge-Secret"));
  if (method !== "GET" && method !== "HEAD" && !purging) return text(403, "Forbidden");
  const url = new URL(request.url);
  let key;
  try {
    key = decodeURIComponent(url.pathname).replaceAll(/\/{2,}/g, "/").slice(1) || "index.html";
  } catch {
    return text(400, "Bad Request");
  }
  if (/[\0-\x1f\x7f-\x9f]/.test(key)) return text(400, "Bad Request");
  if (key.startsWith("backups/")) return text(403, "Forbidden");
  if (key.length > 1024) return text(414, "URI Too Long");
  const path = key.split("/").map(encodeURIComponent).join("/");
  const name = `https://${url.host}/${path}`;
  if (purging) return purge(request, env, name);

  const headers = new Headers();
  for (const field of CONDITIONS) {
    const value = request.headers.get(field);
    if (value) headers.set(field, value);
  }
  if (env.CACHE_MODE === "platform") return through(path, method, headers, ctx);
  const asked = new Request(name, { headers });
  for (const start = Date.now(); ; ) {
    const found = await caches.default.match(asked);
    if (found && age(found) < FRESH_MS) return dress(found, "HIT");
    const stale = found && age(found) < FRESH_MS + STALE_MS ? found : undefined;
    if (!fills.has(name)) {
      fills.add(name);
      return fill(env, name, path, stale, ctx);
    }
    if (stale) return dress(stale, "UPDATING");
    if (Date.now() - start > LONGEST_WAIT_MS) return dress(await ask(env, path, {}), "MISS");
    await new Promise((done) => setTimeout(done, 50));
  }
}

export default { fetch: call };
