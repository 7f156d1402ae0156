/** How a tab reaches its hub: in a worker where there are workers, or else on the same thread. */

import type { RepoOptions } from "./api.js";
import type { FromHub, ToHub } from "./protocol.js";

/** The way to a hub. Messages arrive in order, and never within the call that sent them. */
export interface Link {
  post(message: ToHub): void;
  listen(listener: (message: FromHub) => void): void;
  /** Replaces the hub by a new one, which must be started; answers false where that cannot be. */
  renew(): boolean;
  end(): void;
}

/** Starts a hub and opens the way to it. */
export async function openLink(options: RepoOptions): Promise<Link> {
  if (options.worker !== false && (typeof options.worker === "function" || typeof Worker === "function")) {
    // The next line must stay in this form: bundlers recognise it, and bundle the worker.
    const make = options.worker || (() => new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "driftline" }));
    return linkToWorker(make);
  }
  return linkOnThisThread();
}

function linkToWorker(make: () => Worker): Link {
  let listener: (message: FromHub) => void = () => {};
  const begin = (): Worker => {
    const worker = make();
    worker.onmessage = ({ data }: MessageEvent<FromHub>) => listener(data);
    worker.onerror = (event) => {
      const why = event.message
        ? `: ${event.message}`
        : ": its script cannot be loaded (in development with Vite before 8, add optimizeDeps: { exclude: [\"driftline\"] } to its configuration)";
      listener({ type: "failed", message: `the engine's worker failed${why}` });
    };
    return worker;
  };
  let worker = begin();
  return {
    post: (message) => worker.postMessage(message),
    listen(next) {
      listener = next;
    },
    renew() {
      worker.terminate();
      worker = begin();
      return true;
    },
    end: () => worker.terminate(),
  };
}

async function linkOnThisThread(): Promise<Link> {
  const { Hub, surroundings } = await import("./hub.js");
  let listener: (message: FromHub) => void = () => {};
  const hub = new Hub(surroundings(), (message) => queueMicrotask(() => listener(message)));
  return {
    post: (message) => queueMicrotask(() => hub.handle(message)),
    listen(next) {
      listener = next;
    },
    // The module is the thread's, and what a panic leaves of it is not to be trusted.
    renew: () => false,
    end() {
      listener = () => {};
    },
  };
}
