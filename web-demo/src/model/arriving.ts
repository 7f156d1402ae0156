/**
 * Notes that are on their way to this device, for whoever waits for them.
 *
 * What is over in a moment is not worth a word: something shows once a catch-up has lasted, and then until it is over. What is not
 * known (how many there are, how large they are) is not guessed.
 */

import type { CatchUp } from "driftline";

/** A catch-up that has lasted this long is worth showing. */
export const SHOWN_AFTER_MS = 700;

/** What is shown of a catch-up. */
export interface Arriving {
  /** What part of it has come, from 0 to 1; nothing while that is not known. */
  readonly share: number | null;
  /** A few words: how much of how much. */
  readonly words: string;
}

/** What to show of a catch-up: of many notes their number, of a single long one its size. */
export function arrivingOf({ documents, bytes }: CatchUp): Arriving {
  const share = shareOf(bytes) ?? shareOf(documents);
  const size = bytes.total === undefined ? sizeOf(bytes.done) : `${sizeOf(Math.min(bytes.done, bytes.total))} of ${sizeOf(bytes.total)}`;
  if (documents.total === undefined) return { share: null, words: `${documents.done} notes so far, ${size}` };
  if (documents.total === 1) return { share, words: `${size} of a long note` };
  return { share, words: `${documents.done} of ${documents.total} notes, ${size}` };
}

/** Tells when there is something to show, and what a screen reader is to be told. */
export class Patience {
  #since: number | null = null;
  #isShown = false;
  #said = 0;

  /** What to show now of `catchUp`, and a sentence when there is news. */
  look(catchUp: CatchUp | undefined, now: number): { arriving: Arriving | null; news: string | null } {
    if (catchUp === undefined) {
      const news = this.#isShown ? "All notes have arrived." : null;
      this.#since = null;
      this.#isShown = false;
      this.#said = 0;
      return { arriving: null, news };
    }
    this.#since ??= now;
    if (now - this.#since < SHOWN_AFTER_MS) return { arriving: null, news: null };
    const arriving = arrivingOf(catchUp);
    // In quarters: more often would be noise.
    const quarter = Math.floor((arriving.share ?? 0) * 4);
    const isNews = !this.#isShown || quarter > this.#said;
    this.#isShown = true;
    this.#said = Math.max(this.#said, quarter);
    return { arriving, news: isNews ? `Notes are arriving: ${arriving.words}.` : null };
  }
}

function shareOf({ done, total }: { done: number; total?: number }): number | null {
  return total === undefined || total === 0 ? null : Math.min(1, done / total);
}

function sizeOf(bytes: number): string {
  return bytes < 1_000_000 ? `${Math.ceil(bytes / 1_000)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}
