/** What is known of letters that were sent: the last that was heard of each, of so many. */

import type { LetterId, SentLetter } from "./api.js";
import type { EngineEvent } from "./protocol.js";

/** Letters of which it is remembered what became of them; those of which nothing was heard for the longest are forgotten first. */
const SENT_MAX = 512;

/** What the engine tells of one that was sent. */
export type SentEvent = Extract<EngineEvent, { event: "letterSent" | "letterRefused" }>;

/** Letters that were sent. */
export class SentLetters {
  private readonly known = new Map<string, SentLetter>();

  /** What is known of one. */
  of(id: LetterId): SentLetter | undefined {
    return this.known.get(id);
  }

  /** Of all, those of which the least was heard lately first. */
  get all(): readonly SentLetter[] {
    return [...this.known.values()];
  }

  /** Remembers what was heard. */
  note(letter: SentLetter): SentLetter {
    const noted = Object.freeze(letter);
    this.known.delete(noted.id);
    this.known.set(noted.id, noted);
    const oldest = this.known.keys().next();
    if (this.known.size > SENT_MAX && oldest.done !== true) this.known.delete(oldest.value);
    return noted;
  }

  /** Remembers what the engine tells. */
  handle(event: SentEvent): SentLetter {
    const id = event.letter as LetterId;
    if (event.event === "letterSent") return this.note({ id, state: event.taken ? "taken" : "kept" });
    return this.note({ id, state: event.triedAgain ? "waiting" : "refused", reason: event.reason });
  }

  /** The same with those of which it is known that they wait, and no more. */
  with(waiting: readonly string[]): readonly SentLetter[] {
    const others = waiting.filter((id) => !this.known.has(id)).map((id): SentLetter => ({ id: id as LetterId, state: "waiting" }));
    return [...others, ...this.all];
  }
}
