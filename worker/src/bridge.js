// The few calls that would otherwise cross between WebAssembly and JavaScript many times a request.
// Each does one thing and decides nothing: the rules are all in Rust.
//
// Header fields cross as one text, name and value on alternating lines: neither can hold a newline.

const STATUS = "X-Cache-Status";

/** Method, URL, and the values of the named headers, a line each; an absent header is an empty line. */
export function requestText(request, names) {
  const headers = request.headers;
  let text = request.method + "\n" + request.url;
  for (const name of names) text += "\n" + (headers.get(name) ?? "");
  return text;
}

/** Every header field of a response. */
export function fieldsText(response) {
  let text = "";
  for (const [name, value] of response.headers) text += name + "\n" + value + "\n";
  return text;
}

function headersFrom(text) {
  const headers = new Headers();
  const lines = text.split("\n");
  for (let at = 0; at + 1 < lines.length; at += 2) headers.append(lines[at], lines[at + 1]);
  return headers;
}

/** What stands in the header that holds the stored record, and on a second line the whole's length. */
export function recordOf(response) {
  const headers = response.headers;
  const record = headers.get(STATUS);
  if (record === null) return undefined;
  const total = headers.get("Content-Range")?.split("/")[1];
  return record + "\n" + (total ?? headers.get("Content-Length") ?? "");
}

/** A stored response as it goes out: a copy, since a stored one is immutable. */
export function stored(response, status, head) {
  const answer = new Response(head ? null : response.body, response);
  const headers = answer.headers;
  if (status) headers.set(STATUS, status);
  else headers.delete(STATUS);
  headers.delete("CF-Cache-Status");
  headers.delete("Age");
  return answer;
}

/** A response made from its parts. */
export function made(body, status, text) {
  return new Response(body, { status, headers: headersFrom(text) });
}

/** A response with a short text. */
export function textResponse(status, type, text) {
  return new Response(text, { status, headers: { "Content-Type": type } });
}

/** Looks a URL up, or a part of what is stored under it. */
export function find(url, range) {
  return caches.default.match(range === undefined ? url : new Request(url, { headers: { range } }));
}

/**
 * Stores an answer; fails where its body broke off, or is not as long as was said. The Cache API
 * alone does not always notice.
 */
export async function put(url, status, text, body, length) {
  if (!body) return caches.default.put(url, made(null, status, text));
  const passage = length === undefined ? new IdentityTransformStream() : new FixedLengthStream(length);
  const passed = body.pipeTo(passage.writable);
  passed.catch(() => {});
  await caches.default.put(url, made(passage.readable, status, text));
  await passed;
}

/** Removes what is stored. */
export function remove(url) {
  return caches.default.delete(url);
}

/** Asks the origin; gives up where its headers have not come after so many milliseconds. */
export async function fetchOrigin(url, text, milliseconds) {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), milliseconds);
  try {
    return await fetch(url, {
      headers: headersFrom(text),
      cache: "no-store",
      redirect: "manual",
      signal: controller.signal,
    });
  } finally {
    clearTimeout(timer);
  }
}

/** Tells a stream that nobody will read it. */
export function cancel(stream) {
  if (!stream.locked) stream.cancel().catch(() => {});
}

/** A pair of streams that passes exactly `length` bytes. */
export function fixedLengthStream(length) {
  return new FixedLengthStream(length);
}

/** Asks the media entry, through the platform's cache. */
export function askMedia(context, url, text, head) {
  const request = new Request(url, { method: head ? "HEAD" : "GET", headers: headersFrom(text) });
  return context.exports.Media.fetch(request);
}

/** What the platform's cache says of a response. */
export function platformStatus(response) {
  return response.headers.get("CF-Cache-Status") ?? undefined;
}

/** Puts a purge into the queue, or where none is bound, has it done at once. */
export async function queuePurge(env, context, tag) {
  if (env.PURGES) return env.PURGES.send(tag);
  if (!(await context.exports.Media.purge([tag]))) throw new Error("the platform refused the purge");
}
