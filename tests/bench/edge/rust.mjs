// The worker itself, by the entry that is deployed.
import worker from "../../../worker/entry.mjs";

export const call = worker.fetch;
