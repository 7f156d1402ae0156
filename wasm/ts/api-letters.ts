/**
 * Letters: a few bytes for a key whose holder may be away. Relays keep them, sealed so that nobody else reads them, until the recipient comes by.
 */

import type { Emitter, PeerId } from "./api.js";

/** A letter, by what it is known by. */
export type LetterId = string & { readonly __letterId: true };

/** A letter that this device was written. */
export interface Letter {
  readonly id: LetterId;
  /** Who wrote it: the signature was checked. Whether that is someone one knows is for the app to say. */
  readonly sender: PeerId;
  /** What it is, by agreement among apps. Links to spaces that others sent natively have the kind `invitation`; their text is what `join` takes. */
  readonly kind: string;
  readonly content: Uint8Array;
  /** The content as text; what is no text in it is replaced. Written by someone else: show it as text, and not as HTML. */
  readonly text: string;
  /** When relays would have thrown it away. Here it stays until it is forgotten. */
  readonly ends: Date;
}

/** A letter that was sent, as far as is known. */
export interface SentLetter {
  readonly id: LetterId;
  /**
   * `waiting`: it is kept on this device, and no relay has it yet. `kept`: a relay has it on its disk, and hands it over when the recipient comes by; it
   * does not tell when. `taken`: the recipient has said to have it, which is heard where they are met, or had it before. `refused`: it was not
   * taken, and is not sent again.
   */
  readonly state: "waiting" | "kept" | "taken" | "refused";
  /** Why a relay did not take it: a sentence. While it is `waiting` it is sent again. */
  readonly reason?: string;
}

/** How to send a letter. */
export interface SendLetterOptions {
  /** For how long relays keep it, in milliseconds: a week unless told, thirty days at most, to the second. */
  readonly endsIn?: number;
}

/** What is told of letters, in every tab. */
export interface LettersEvents {
  /** One has come, and is kept on this device. Those that were here when this repo was opened are not told: see {@link Letters.received}. */
  received: Letter;
  /** One was forgotten, here or in another tab. */
  forgotten: LetterId;
  /** What is known of one that was sent has changed. */
  sent: SentLetter;
}

/** Letters of this device's. */
export interface Letters extends Emitter<LettersEvents> {
  /** This device's key as a `did:key`: what others write to. */
  readonly address: string;
  /**
   * Writes to a key, a {@link PeerId} or a `did:key:z6Mk…`: signed by this device, and read by nobody but the recipient. Resolved once it is kept on this device;
   * it leaves when a relay is connected, also after a reload. Rejected with a sentence where it is too large (some 16,000 bytes go in, and 64 of the kind), would
   * end too late, or 512 wait already.
   */
  send(to: PeerId | string, kind: string, content: string | Uint8Array, options?: SendLetterOptions): Promise<LetterId>;
  /** The letters that this device was written and has not forgotten, 512 at most: what comes then waits at relays. */
  received(): Promise<readonly Letter[]>;
  /** What is known of letters that were sent: all that wait, and what became of the last few hundred since the profile's first tab was opened. */
  sent(): Promise<readonly SentLetter[]>;
  /**
   * Resolved once a relay keeps it, or its recipient has it; rejected, with the relay's sentence, when it was refused for good, or after `timeout`
   * milliseconds.
   */
  whenKept(id: LetterId, options?: { timeout?: number; signal?: AbortSignal }): Promise<void>;
  /** Resolved once a connected relay has handed over all that waited there for this device; rejected after `timeout` milliseconds. */
  whenFetched(options?: { timeout?: number; signal?: AbortSignal }): Promise<void>;
  /** Forgets a letter that was received, in all tabs; answers whether it was there. It is not shown again, whoever brings it. */
  forget(id: LetterId): Promise<boolean>;
}
