// Somebody else's worker, as npm has it: `render2`. It is made for R2: here its binding asks the S3 API, and
// `aws4fetch` signs.
import { AwsClient } from "aws4fetch";
import render from "render2";

let bindings;

function bind(env) {
  const bucket = env.ORIGIN_URL ?? `https://${env.B2_ENDPOINT}/${env.B2_BUCKET}`;
  const client = new AwsClient({
    accessKeyId: env.B2_APPLICATION_KEY_ID,
    secretAccessKey: env.B2_APPLICATION_KEY,
    service: "s3",
    region: env.B2_ENDPOINT.split(".")[1],
  });
  const get = async (key) => {
    const answer = await fetch(await client.sign(`${bucket}/${key.split("/").map(encodeURIComponent).join("/")}`));
    if (answer.status !== 200) return null;
    const header = (name) => answer.headers.get(name);
    return {
      key,
      body: answer.body,
      size: Number(header("Content-Length")),
      httpEtag: header("ETag"),
      uploaded: new Date(header("Last-Modified")),
      httpMetadata: { contentType: header("Content-Type") },
    };
  };
  return { R2_BUCKET: { get }, CACHE_CONTROL: "public, max-age=31536000" };
}

export function call(request, env, ctx) {
  return render.fetch(request, (bindings ??= bind(env)), ctx);
}

// Its headers and its refusals are not ours. As an export of its own it would be taken for an entry.
call.published = true;

export default { fetch: call };
