// The least that a worker can do: a constant. What is left of its time is the local simulator's.
const SMALL = new Uint8Array(20_000);
const LARGE = new Uint8Array(5_000_000);

export default {
  fetch: (request) => new Response(request.url.includes("/large/") ? LARGE : SMALL),
};
