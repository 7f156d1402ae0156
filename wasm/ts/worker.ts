/** The worker's script: a hub that speaks to its tab by messages. */

import { Hub, surroundings } from "./hub.js";
import type { ToHub } from "./protocol.js";

const scope = globalThis as unknown as {
  postMessage(message: unknown): void;
  onmessage: ((event: { data: ToHub }) => void) | null;
};

const hub = new Hub(surroundings(), (message) => scope.postMessage(message));
scope.onmessage = ({ data }) => hub.handle(data);
