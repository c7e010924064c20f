// What `wrangler` asks of Cloudflare's API for a deployment, answered from memory: secrets by name, queues,
// the upload, domains and consumers; and the address for queries of Analytics Engine. Prints its address; every request goes to standard output as a line
// of JSON, so that a test sees what would have been changed and in which order.
//
//   node api.mjs '{"worker": true, "secrets": ["PURGE_SECRET"], "queues": ["medialift-purges"]}'
import { createServer } from "node:http";

const { worker, secrets, queues } = JSON.parse(process.argv[2]);
let exists = worker;

const queue = (name) => ({
  queue_id: `id-of-${name}`,
  queue_name: name,
  created_on: "",
  modified_on: "",
  producers: [],
  consumers: [],
  producers_total_count: 0,
  consumers_total_count: 0,
});

const refused = (status, code, message) => ({ status, errors: [{ code, message }] });

// The path is that below the account.
function answer(method, path, search, body) {
  const write = method !== "GET";
  if (path === "/queues" && write) {
    const { queue_name: name } = JSON.parse(body);
    if (queues.includes(name)) return refused(409, 11009, "Queue name is already taken");
    queues.push(name);
    return { result: queue(name) };
  }
  if (path === "/queues") {
    const wanted = search.getAll("name");
    const found = queues.filter((name) => wanted.length === 0 || wanted.includes(name));
    return { result: found.map(queue) };
  }
  if (path.endsWith("/consumers")) {
    if (!write) return { result: [] };
    const wanted = [path.split("/").at(-2).replace("id-of-", ""), JSON.parse(body).dead_letter_queue];
    const missing = wanted.find((name) => name && !queues.includes(name));
    return missing ? refused(404, 11000, `Queue ${missing} not found`) : { result: {} };
  }
  if (write && path.startsWith("/queues/id-of-")) {
    // Paused, resumed or emptied.
    return { result: queue(path.split("/")[2].replace("id-of-", "")) };
  }
  if (path === "/analytics_engine/sql") return { result: [] };
  if (path.includes("/domains/changeset")) {
    return { result: { added: [], removed: [], updated: [], conflicting: [] } };
  }
  if (!/^\/workers\/(scripts|services|workers|subdomain|domains)/.test(path) && path !== "") {
    return refused(404, 7003, `Could not route to ${path}`);
  }
  exists ||= method === "PUT";
  if (!exists) return refused(404, 10007, "This Worker does not exist on your account.");
  if (path.endsWith("/secrets")) {
    return { result: secrets.map((name) => ({ name, type: "secret_text" })) };
  }
  if (path.endsWith("/subdomain")) {
    return { result: { subdomain: "account", enabled: true, previews_enabled: false } };
  }
  return {
    result: {
      id: "worker",
      tag: "tag",
      bindings: [],
      deployments: [],
      versions: [],
      startup_time_ms: 1,
      metadata: { has_preview: false },
      resources: { script: { etag: "etag" } },
      subdomain: { enabled: false, previews_enabled: false },
      default_environment: {
        environment: "production",
        script: { id: "medialift-edge", tag: "tag", last_deployed_from: "wrangler" },
      },
    },
  };
}

const server = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const body = Buffer.concat(chunks).toString();
    const url = new URL(request.url, "http://api.invalid");
    const path = url.pathname.replace(/^.*\/accounts\/[^/]+/, "");
    console.log(JSON.stringify({ method: request.method, path, body: body.slice(0, 2000) }));
    const { status = 200, errors = [], result = null } = answer(request.method, path, url.searchParams, body);
    const answered = { success: status < 400, errors, messages: [], result };
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(answered));
  });
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
