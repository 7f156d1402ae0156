/** From a recovery phrase and a backup to a store, before an engine opens it. */

import type { RestoreOptions } from "./api.js";
import { documentsIn, journalArea, type Restored, restored } from "./engine.js";
import type { Area, Medium } from "./media.js";

/** What a store says that is not to be lost. */
export const HOLDS_DOCUMENTS = "documents are kept here already, and would be lost: restore in a browser, or a profile of one, that holds none";

/** The store that a phrase and a file make. */
export function restoredFrom({ phrase, file }: RestoreOptions): Restored {
  return restored(phrase, file, crypto.getRandomValues(new Uint8Array(16)));
}

/**
 * Writes what a phrase and a file make onto a medium. Fails, with a sentence and nothing changed, where that holds documents or the two do not fit;
 * otherwise `before` runs first.
 */
export async function restoreOnto(medium: Medium, restore: RestoreOptions, before: () => Promise<void>): Promise<void> {
  if (medium.write === undefined) throw new Error(medium.warning ?? "nothing is kept on this device: there is nowhere to restore to");
  const [first, second] = await medium.read();
  if (documentsIn(first, second) > 0) throw new Error(HOLDS_DOCUMENTS);
  const store = restoredFrom(restore);
  try {
    await before();
    await replaceJournal(medium, [first, second], store.journal());
  } finally {
    store.free();
  }
}

/** Writes another journal beside the one there is, which goes when the new one is whole, as when it is written again. A crash before that leaves the old one. */
export async function replaceJournal(medium: Medium, [first, second]: readonly [Uint8Array, Uint8Array], journal: Uint8Array): Promise<void> {
  const from = journalArea(first, second) as Area;
  await medium.write?.(from === 0 ? 1 : 0, 0, journal);
  await medium.write?.(from, 0, new Uint8Array());
}
