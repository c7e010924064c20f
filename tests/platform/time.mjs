// Makes time pass faster for the worker, by the factor `SPEED`; runs before the worker's own module.
import { env } from "cloudflare:workers";

const speed = Number(env.SPEED);
const began = Number(env.BEGAN);
const { now } = Date;
const { setTimeout } = globalThis;

Date.now = () => Math.floor(began + (now() - began) * speed);
globalThis.setTimeout = (work, delay, ...what) => setTimeout(work, delay / speed, ...what);
