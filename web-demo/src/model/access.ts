/** What one may do in a notebook, in words people understand: for whoever may not do everything, and for whoever lets others in. */

import type { Level, SpaceAccess } from "driftline";

/** What the page says to someone who may not write. */
export interface AccessNotice {
  /** Whether nothing new comes any more, or none of it can be read. */
  isApart: boolean;
  /** Two or three words. */
  headline: string;
  /** What that means, and what one keeps. */
  words: string;
}

/** What to say to someone who has opened a link for one person, and waits. */
export function waitingNotice(giver: string): AccessNotice {
  return { isApart: true, headline: "Waiting to be let in", words: `Your link works once. ${giver} lets you in as soon as their device hears of you, even if that is not now: you can leave, and come back.` };
}

/** What to say; nothing to someone who may write. Whoever comes by a link that was taken back has no notes to keep. */
export function accessNotice(access: SpaceAccess, hasNotes = true): AccessNotice | null {
  if (access.waitsForKey && access.level !== null && access.refusal === undefined) {
    return { isApart: true, headline: "Waiting for the key", words: "This notebook is encrypted, and its key has not reached this device yet. It comes by itself, from someone who is in it, once you are connected and they have been. Until then nothing new can be read or written here. Nothing is lost." };
  }
  switch (access.state) {
    case "expired":
      return { isApart: true, headline: "Access ended", words: "Your access to this notebook has ended. You keep the notes as they had reached this device; nothing new comes, and they cannot be changed. To go on, ask for a new link." };
    case "revoked":
      if (!hasNotes) return { isApart: true, headline: "Not let in", words: "The link you came by was taken back: it lets nobody in any more. Ask for a new link." };
      return { isApart: true, headline: "Removed", words: "You were removed from this notebook. You keep the notes as they had reached this device; nothing new comes, and they cannot be changed." };
    case "none":
      return { isApart: true, headline: "Not let in", words: "This notebook belongs to someone who has not let this device in. Its address is not enough: ask them to share it with you." };
    case "member":
      if (access.refusal !== undefined) {
        return { isApart: true, headline: "Not let in", words: "The relay does not let this device in: the link you came by may have been taken back. What is here stays here. Ask for a new link." };
      }
      if (!access.mayWrite) return { isApart: false, headline: "Read only", words: "You may read this notebook, and not write in it. To write, ask whoever let you in for another link." };
      return null;
    default:
      return null;
  }
}

/** What a level lets one do. */
export function levelWords(level: Level): string {
  return { read: "can read, unseen", presence: "can read", write: "can write", admin: "can write and let others in" }[level];
}

/** When something ends; nothing where it never does. */
export function endWords(ends: Date | undefined, now: number): string | null {
  if (ends === undefined) return null;
  const left = ends.getTime() - now;
  if (left <= 0) return "ended";
  if (left < 3_600_000) return `for ${Math.max(1, Math.round(left / 60_000))} min more`;
  if (left < 86_400_000) return `until ${ends.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" })}`;
  return `until ${ends.toLocaleDateString(undefined, { weekday: "short", day: "numeric", month: "short" })}`;
}
