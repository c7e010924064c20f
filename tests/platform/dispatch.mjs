// Takes a batch of the queue over HTTP and hands it to the worker as the runtime does, with the
// runtime's own objects; the answer says what became of each message.
export default {
  async fetch(request, env) {
    const { queue, messages } = await request.json();
    const dated = messages.map((message) => ({ ...message, timestamp: new Date(message.timestamp) }));
    const { outcome, retryBatch, ackAll, retryMessages, explicitAcks } = await env.WORKER.queue(queue, dated);
    return Response.json({ outcome, retryBatch, ackAll, retryMessages, explicitAcks });
  },
};
