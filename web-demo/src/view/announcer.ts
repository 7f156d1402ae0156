/** What a screen reader is told that nobody asked for: little, once, and never in the middle of other news. */

import { h } from "./dom.ts";

const GAP_MS = 1_200;

/** A polite live region with a queue. */
export class Announcer {
  readonly element = h("div", { class: "visually-hidden", role: "status", "aria-live": "polite", "data-testid": "announcer" });
  #queue: string[] = [];
  #isBusy = false;

  /** Says `sentence` when there is a pause. At most three sentences wait. */
  say(sentence: string): void {
    if (this.#queue.at(-1) === sentence) return;
    this.#queue = [...this.#queue.slice(-2), sentence];
    if (!this.#isBusy) this.#next();
  }

  #next(): void {
    const sentence = this.#queue.shift();
    this.#isBusy = sentence !== undefined;
    if (sentence === undefined) return;
    this.element.textContent = sentence;
    setTimeout(() => this.#next(), GAP_MS);
  }
}
