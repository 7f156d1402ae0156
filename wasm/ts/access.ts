/** What a device may do in a space, from what the engine says, and the sentences for what it may not. */

import type { AccessErrorShape, Level, SpaceAccess } from "./api.js";
import type { EngineAccess } from "./protocol.js";

const LEVELS: readonly Level[] = ["read", "presence", "write", "admin"];

/** Whether a level includes another. */
export function includes(level: Level | null, wanted: Level): boolean {
  return level !== null && LEVELS.indexOf(level) >= LEVELS.indexOf(wanted);
}

/** What is known of a space before the engine has said anything: an id shows whether it is owned. */
export function accessAtFirst(isOwned: boolean): SpaceAccess {
  return isOwned
    ? Object.freeze({ state: "unknown", level: null, waitsForKey: false, mayWrite: false, mayShare: false })
    : Object.freeze({ state: "open", level: "admin", waitsForKey: false, mayWrite: true, mayShare: false });
}

/** What the engine says. */
export function accessOf({ state, level, expires, waitsForKey, refusal }: EngineAccess): SpaceAccess {
  return Object.freeze({
    state, level, waitsForKey,
    // What is written without the key that leads, those who were shut out would read; and a link without it opens nothing.
    mayWrite: includes(level, "write") && !waitsForKey, mayShare: state !== "open" && level === "admin" && !waitsForKey,
    ...(expires > 0 ? { ends: new Date(expires * 1_000) } : {}),
    ...(refusal === undefined ? {} : { refusal }),
  });
}

/** Not allowed in a space. */
export class AccessError extends Error implements AccessErrorShape {
  override readonly name = "AccessError";
  readonly access: SpaceAccess;

  constructor(access: SpaceAccess) {
    super(whyNotWrite(access));
    this.access = access;
  }
}

const WAITING =
  "this space is encrypted, and its key has not reached this device yet: it comes by itself once someone who has it is connected. Nothing was changed; listen to `access`, and try again when waitsForKey is false";

function whyNotWrite(access: SpaceAccess): string {
  switch (access.state) {
    case "unknown":
      return "what this device may do in this space is not known yet: wait for whenReady()";
    case "expired":
      return "your invitation has ended: what is on this device stays here, and cannot be changed. Ask for a new link";
    case "revoked":
      return "you were removed from this space: what is on this device stays here, and cannot be changed";
    case "none":
      return "this space belongs to someone who has not let this device in: ask them for a link";
    default:
      if (access.waitsForKey) return WAITING;
      return "you may read here and not write: ask whoever let you in for a link that lets you write";
  }
}
