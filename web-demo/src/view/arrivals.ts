/** Says who comes and goes, without making a fuss of reloads and short breaks. */

import type { Person } from "../model/people.ts";

/** Someone gone for less than this was not gone. */
const ABSENCE_MS = 8_000;
/** People found here within this time of arriving oneself are not announced one by one. */
const SETTLING_MS = 3_000;

/** Watches the people of one notebook. */
export class Arrivals {
  readonly #say: (sentence: string) => void;
  readonly #known = new Map<string, { name: string; leaving: ReturnType<typeof setTimeout> | null }>();
  #since = performance.now();

  constructor(say: (sentence: string) => void) {
    this.#say = say;
  }

  /** Forgets everyone: another notebook was opened. */
  reset(): void {
    for (const { leaving } of this.#known.values()) if (leaving !== null) clearTimeout(leaving);
    this.#known.clear();
    this.#since = performance.now();
  }

  /** Looks at who is here now. Someone who cannot reach anyone has left the others, not they. */
  update(people: readonly Person[], isConnected: boolean): void {
    if (!isConnected && people.length === 0) {
      this.reset();
      return;
    }
    const isSettling = performance.now() - this.#since < SETTLING_MS;
    const here = new Set<string>();
    for (const { peerId, name } of people) {
      here.add(peerId);
      const known = this.#known.get(peerId);
      if (known?.leaving) clearTimeout(known.leaving);
      if (!known && !isSettling) this.#say(`${name} is here.`);
      this.#known.set(peerId, { name, leaving: null });
    }
    for (const [peerId, known] of this.#known) {
      if (here.has(peerId) || known.leaving !== null) continue;
      known.leaving = setTimeout(() => {
        this.#known.delete(peerId);
        this.#say(`${known.name} left.`);
      }, ABSENCE_MS);
    }
  }
}
