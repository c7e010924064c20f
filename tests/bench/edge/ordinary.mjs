// The edge's rules by hand in plain JavaScript, in the ordinary way: what is stored is the bucket's
// answer, and each hit is a copy of it whose headers are edited.

const FRESH_MS = 172_800_000;
const STRIPPED = ["Set-Cookie", "Server", "Via", "X-Powered-By", "x-amz-request-id", "x-amz-id-2", "x-amz-version-id"];

function dress(response, status) {
  const answer = new Response(response.body, response);
  for (const name of STRIPPED) answer.headers.delete(name);
  answer.headers.set("Cache-Control", "public, max-age=31536000");
  answer.headers.set("Expires", new Date(Date.now() + 31_536_000_000).toUTCString());
  answer.headers.set("Access-Control-Allow-Origin", "*");
  answer.headers.set("X-Content-Type-Options", "nosniff");
  answer.headers.set("Content-Security-Policy", "default-src 'none'; form-action 'none'");
  answer.headers.set("X-Cache-Status", status);
  answer.headers.delete("X-Stored-At");
  return answer;
}

export async function call(request, env, ctx) {
  if (request.method !== "GET" && request.method !== "HEAD") return new Response("403 Forbidden\n", { status: 403 });
  const url = new URL(request.url);
  let key;
  try {
    key = decodeURIComponent(url.pathname).replaceAll(/\/{2,}/g, "/").slice(1) || "index.html";
  } catch {
    return new Response("400 Bad Request\n", { status: 400 });
  }
  if (key.startsWith("backups/")) return new Response("403 Forbidden\n", { status: 403 });
  if (key.length > 1024) return new Response("414 URI Too Long\n", { status: 414 });
  const path = key.split("/").map(encodeURIComponent).join("/");
  const name = `https://${url.host}/${path}`;

  const headers = new Headers();
  for (const field of ["Range", "If-Range", "If-None-Match", "If-Modified-Since"]) {
    const value = request.headers.get(field);
    if (value) headers.set(field, value);
  }
  const found = await caches.default.match(new Request(name, { headers }));
  if (found && Date.now() - Number(found.headers.get("X-Stored-At")) < FRESH_MS) return dress(found, "HIT");

  const fetched = await fetch(`https://${env.B2_ENDPOINT}/${env.B2_BUCKET}/${path}`, { cache: "no-store" });
  if (fetched.status === 200) {
    const copy = new Response(fetched.clone().body, fetched);
    copy.headers.set("Cache-Control", "public, max-age=2764800");
    copy.headers.set("X-Stored-At", String(Date.now()));
    ctx.waitUntil(caches.default.put(name, copy));
  }
  return dress(fetched, "MISS");
}
