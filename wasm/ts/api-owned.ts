/**
 * Owned spaces, as an app sees them. A space that is found by a name is open: whoever knows the name may do everything. An owned one
 * belongs to the replica that founded it; others are let in by links, and can be shut out again. All of it follows from signatures, which every
 * replica and every relay checks for itself.
 */

import type { PeerId } from "./api.js";

/** What one may do; each level includes those before it: be sent what the space holds, be seen there, change documents, let others in and shut them out. */
export type Level = "read" | "presence" | "write" | "admin";

/** What this device may do in a space, and why. It changes while the space is open: listen to `access`. */
export interface SpaceAccess {
  /**
   * `open`: the space is nobody's, and everyone may do everything. `owner`: this device founded it. `member`: it was let in. `expired`: for
   * a time that is over. `revoked`: it was shut out. `none`: it never was let in. `unknown`: the engine has not said yet.
   */
  readonly state: "unknown" | "open" | "owner" | "member" | "expired" | "revoked" | "none";
  /** How much; null where it may not even be sent what is new. */
  readonly level: Level | null;
  /**
   * Whether the space is sealed and its key has not reached this device: what is new cannot be read and nothing can be written, until a member
   * who has the key brings it. Nothing is lost meanwhile, and `access` tells when the key is here.
   */
  readonly waitsForKey: boolean;
  /** Whether documents may be changed. Where not, `change` and `create` throw an {@link AccessErrorShape | AccessError}. */
  readonly mayWrite: boolean;
  /** Whether links can be made, and members shut out. */
  readonly mayShare: boolean;
  /** When that ends. */
  readonly ends?: Date;
  /** Why a relay or a peer does not sync the space with this device, although it may as far as is known here: a sentence. Gone once one does. */
  readonly refusal?: string;
}

/** Thrown where this device may not do something in a space. Nothing was changed. `message` is a sentence for people. */
export interface AccessErrorShape extends Error {
  readonly name: "AccessError";
  /** What it may do. */
  readonly access: SpaceAccess;
}

/** How to found a space. */
export interface FoundOptions {
  /** Whether what is in it is encrypted from end to end, so that relays keep and pass on what they cannot read. It stays so for good. */
  readonly sealed?: boolean;
}

/** What a link gives. */
export interface ShareOptions {
  /** What whoever opens it may do. */
  readonly level: Level;
  /** When that ends, for the link and for all who came by it; never unless told. */
  readonly ends?: Date;
  /** What the link is called in the list of members: up to 128 bytes. */
  readonly note?: string;
  /** Relays that sync the space, for whoever joins; this repo's unless told. Four at most. */
  readonly relays?: readonly string[];
  /** The address of a web app: the link is then one to it, `https://app.example/#join=…`, and otherwise `driftline:join#…`. */
  readonly app?: string | URL;
}

/** How to join. */
export interface JoinOptions {
  /** What members know this device by: up to 128 bytes. */
  readonly note?: string;
}

/** A grant: of someone who is or was a member, or of a link that was made. One key may have several. */
export interface Member {
  /** Whose. */
  readonly key: PeerId;
  readonly level: Level;
  /** When it ends, if it does. */
  readonly ends?: Date;
  /** What they call themselves, or what the link is called. */
  readonly note: string;
  /** Whose grant it comes from; not there for the owner. A link is a `by` of its own for those who joined by it. */
  readonly by?: PeerId;
  readonly isOwner: boolean;
  /** Whether it is a link's, which is whoever has it. */
  readonly isLink: boolean;
  /** Whether it is this device. */
  readonly isSelf: boolean;
  /** Whether it is another device of `by`, as that one says. */
  readonly isDevice: boolean;
  readonly state: "good" | "expired" | "revoked";
}

/** A part of a document: the changes of one actor. A writer has several over time. */
export interface Authorship {
  readonly actor: string;
  /** Who that is, proved by the actor's id itself; not there in open spaces, where actors are nobody's. */
  readonly writer?: PeerId;
  /** How many changes are held of it. */
  readonly changes: number;
  /** How many of these, from the first on, the writer has vouched for by a signature. It follows what is written within a second. */
  readonly attested: number;
}
