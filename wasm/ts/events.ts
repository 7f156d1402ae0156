/** Events with listeners, typed. */

import type { Emitter, Unsubscribe } from "./api.js";

/** Something that tells of events. */
export class Events<Names> implements Emitter<Names> {
  private readonly listeners = new Map<keyof Names, Set<(event: never) => void>>();

  on<Name extends keyof Names>(name: Name, listener: (event: Names[Name]) => void): Unsubscribe {
    let set = this.listeners.get(name);
    if (set === undefined) this.listeners.set(name, (set = new Set()));
    set.add(listener);
    return () => this.off(name, listener);
  }

  once<Name extends keyof Names>(name: Name, listener: (event: Names[Name]) => void): Unsubscribe {
    const stop = this.on(name, (event) => {
      stop();
      listener(event);
    });
    return stop;
  }

  off<Name extends keyof Names>(name: Name, listener: (event: Names[Name]) => void): void {
    this.listeners.get(name)?.delete(listener);
  }

  /** Calls everyone who listens. One listener that throws does not keep the event from the others. */
  protected emit<Name extends keyof Names>(name: Name, event: Names[Name]): void {
    for (const listener of [...(this.listeners.get(name) ?? [])]) {
      try {
        (listener as (event: Names[Name]) => void)(event);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  /** Takes everyone off. */
  protected silence(): void {
    this.listeners.clear();
  }
}

/** Waits until `ready` answers true, asked now and at each call of what `watch` is given. */
export function until(
  ready: () => boolean,
  watch: (check: () => void, fail: (error: Error) => void) => Unsubscribe,
  options: { timeout?: number; signal?: AbortSignal } | undefined,
  what: string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let stop: Unsubscribe = () => {};
    let timer: ReturnType<typeof setTimeout> | undefined;
    const end = (settle: () => void): void => {
      stop();
      clearTimeout(timer);
      options?.signal?.removeEventListener("abort", onAbort);
      settle();
    };
    const onAbort = (): void => end(() => reject(options?.signal?.reason as Error));
    const check = (): void => {
      if (ready()) end(resolve);
    };
    if (ready()) return resolve();
    if (options?.signal?.aborted) return onAbort();
    stop = watch(check, (error) => end(() => reject(error)));
    options?.signal?.addEventListener("abort", onAbort);
    if (options?.timeout !== undefined) {
      timer = setTimeout(() => end(() => reject(new Error(`${what} took longer than ${options.timeout} ms`))), options.timeout);
    }
  });
}
