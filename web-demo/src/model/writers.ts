/** Who wrote in a note, and how far they have vouched for it by their signatures. */

import type { Authorship, PeerId } from "driftline";
import { counted } from "./words.ts";

/** One writer of a note. */
export interface WriterLine {
  key: PeerId;
  name: string;
  words: string;
  /** Whether all of it is vouched for. */
  isVouched: boolean;
}

/** The writers, those of most changes first. */
export function writerLines(authorship: readonly Authorship[], nameOf: (key: PeerId) => string): WriterLine[] {
  const writers = new Map<PeerId, { changes: number; attested: number }>();
  for (const { writer, changes, attested } of authorship) {
    if (writer === undefined) continue;
    const sum = writers.get(writer) ?? { changes: 0, attested: 0 };
    writers.set(writer, { changes: sum.changes + changes, attested: sum.attested + attested });
  }
  return [...writers]
    .sort(([, a], [, b]) => b.changes - a.changes)
    .map(([key, { changes, attested }]) => {
      const isVouched = attested >= changes;
      const words = isVouched ? `${counted(changes, "change")}, all signed and checked` : `${counted(changes, "change")}, ${attested} of them signed and checked so far`;
      return { key, name: nameOf(key), words, isVouched };
    });
}
