// The few calls that would otherwise cross between WebAssembly and JavaScript many times a request.
// Each does one thing and decides nothing: the rules are all in Rust.
//
// Header fields cross as one text, name and value on alternating lines, each ended by a newline: neither
// can hold one.

const STATUS = "X-Cache-Status";

/**
 * Of a GET or HEAD: method, URL, and the values of the headers in `names`, a line each; an absent
 * header is an empty line. Of any other request the method, and where it carries a purge secret, the
 * URL and the secret. Each look at a request costs.
 */
export function requestText(request, names, secretHeader) {
  const { method, headers } = request;
  if (method !== "GET" && method !== "HEAD") {
    const secret = headers.get(secretHeader);
    return secret ? method + "\n" + request.url + "\n" + secret : method;
  }
  let text = method + "\n" + request.url;
  for (const name of names) text += "\n" + (headers.get(name) ?? "");
  return text;
}

/** Every header field of a response. */
export function fieldsText(response) {
  let text = "";
  for (const [name, value] of response.headers) text += name + "\n" + value + "\n";
  return text;
}

/**
 * What conditions and ranges are about, a line each; an absent header is an empty line. A 304 has the
 * first two alone.
 */
export function outlineText(response) {
  const { status, headers } = response;
  let text = (headers.get("ETag") ?? "") + "\n" + (headers.get("Last-Modified") ?? "");
  if (status === 304) return text;
  for (const name of ["Content-Length", "Content-Range"]) text += "\n" + (headers.get(name) ?? "");
  return text;
}

function fieldsFrom(text) {
  const fields = { __proto__: null };
  const lines = text.split("\n");
  for (let at = 0; at + 1 < lines.length; at += 2) fields[lines[at]] = lines[at + 1];
  return fields;
}

/**
 * What stands in the header that holds the stored record, and on a second line the whole's length.
 * A 304 has no body that could be of another length: there is no second line.
 */
export function recordOf(response) {
  const { status, headers } = response;
  const record = headers.get(STATUS);
  if (record === null) return undefined;
  if (status === 304) return record;
  const total = status === 206 ? headers.get("Content-Range")?.split("/")[1] : undefined;
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

const ABOUT_THE_BODY = ["Content-Type", "Content-Length", "Content-Encoding", "Content-Range", "Accept-Ranges"];

/** A 304 about a stored response, or made of one: its headers without those that describe a body. */
export function notModified(response, status) {
  const answer = new Response(null, response.status === 304 ? response : { status: 304, headers: response.headers });
  const headers = answer.headers;
  headers.set(STATUS, status);
  for (const name of ABOUT_THE_BODY) headers.delete(name);
  headers.delete("CF-Cache-Status");
  headers.delete("Age");
  return answer;
}

/**
 * A response made from its parts; `cached` is its cache status or its record, if it has one. Where it
 * is `like` another, status and header fields are that one's, and the text has only what differs.
 */
export function made(body, status, text, cached, like) {
  const answer = new Response(body, like ?? { status });
  const headers = answer.headers;
  const lines = text.split("\n");
  for (let at = 0; at + 1 < lines.length; at += 2) headers.set(lines[at], lines[at + 1]);
  if (cached) headers.set(STATUS, cached);
  return answer;
}

/** A response with a short text, which the runtime itself calls plain. */
export function plainText(status, text) {
  return new Response(text, { status });
}

/** Looks a URL up; `name` and `value` are those of a header that says what of it is wanted. */
export function find(url, name, value) {
  return caches.default.match(name === undefined ? url : new Request(url, { headers: { [name]: value } }));
}

/**
 * Stores an answer; fails where its body broke off, or is not as long as was said. The Cache API
 * alone does not always notice.
 */
export async function put(url, status, text, cached, body, length, like) {
  if (!body) return caches.default.put(url, made(null, status, text, cached, like));
  const passage = length === undefined ? new IdentityTransformStream() : new FixedLengthStream(length);
  const passed = body.pipeTo(passage.writable);
  passed.catch(() => {});
  const answer = made(passage.readable, status, text, cached, like);
  // It is the reader's, and must not be kept for as long as this takes.
  like = undefined;
  await caches.default.put(url, answer);
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
      headers: fieldsFrom(text),
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

/** Tells a response's body that nobody will read it. */
export function discard(response) {
  if (response.body) cancel(response.body);
}

/** Of a body the `length` bytes after the first `skip`, as a stream of that length. */
export function part(body, skip, length) {
  const { readable, writable } = new FixedLengthStream(length);
  passPart(body.getReader(), skip, length, writable.getWriter());
  return readable;
}

// Passes on chunks as views on the same memory. A failure shows at the reading end: the stream there ends
// before its length.
async function passPart(reader, skip, left, writer) {
  try {
    while (left > 0) {
      const { done, value } = await reader.read();
      if (done) break;
      const wanted = value.subarray(skip, skip + left);
      skip = Math.max(0, skip - value.byteLength);
      left -= wanted.byteLength;
      if (wanted.byteLength > 0) await writer.write(wanted);
    }
    // Before the end is read: what nobody wants is not to be kept for as long as that takes.
    reader.cancel().catch(() => {});
    await writer.close();
  } catch (error) {
    reader.cancel().catch(() => {});
    writer.abort(error).catch(() => {});
  }
}

/** What a body begins with, as text: of up to `limit` bytes, or of what came before it broke off. */
export async function beginning(body, limit) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  try {
    for (let left = limit; left > 0; ) {
      const { done, value } = await reader.read();
      if (done) return text;
      text += decoder.decode(value.subarray(0, left), { stream: true });
      left -= value.byteLength;
    }
    reader.cancel().catch(() => {});
  } catch {}
  return text;
}

/** What an error calls itself, and what it says. */
export function errorText(error) {
  return String(error);
}

/** Asks the media entry, through the platform's cache. */
export function askMedia(context, url, text, head) {
  const request = new Request(url, { method: head ? "HEAD" : "GET", headers: fieldsFrom(text) });
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

/** Tells `settle` what a promise comes to. */
export function listen(promise, id, settle) {
  promise.then(
    (value) => settle(id, true, value),
    (error) => settle(id, false, error),
  );
}

/** Tells `settle` that so many milliseconds have passed. */
export function startTimer(milliseconds, id, settle) {
  return setTimeout(settle, milliseconds, id, true);
}

/** Ends a timer before its time. */
export function stopTimer(timer) {
  clearTimeout(timer);
}

/** A promise that is not settled, and the means to fulfil it. */
export function pending() {
  return Promise.withResolvers();
}

/** The promise alone. */
export function promiseOf(pending) {
  return pending.promise;
}

/** Fulfils the promise. */
export function fulfil(pending, value) {
  pending.resolve(value);
}
