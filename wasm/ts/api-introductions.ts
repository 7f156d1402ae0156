/**
 * Links for a single use, and several devices of one person. Both work by letters that only their recipients can read: who opens such a link
 * asks whoever made it, whose device answers when it hears of it, at once or when it is there again.
 */

import type { Emitter, PeerId, SpaceId } from "./api.js";
import type { Level } from "./api-owned.js";

/** A link for a single use, by what it is known by. It tells nothing of the link's secret. */
export type TicketId = string & { readonly __ticketId: true };

/** What a link for one person gives. */
export interface ShareOnceOptions {
  /** What whoever is let in may do. */
  readonly level: Level;
  /** When that ends; never unless told. */
  readonly ends?: Date;
  /** Until when the link can be used: a week unless told, thirty days at most. */
  readonly validUntil?: Date;
  /** What they are called in the list of members where they say nothing themselves: up to 128 bytes. */
  readonly note?: string;
  /** What you are called, for whoever waits to be let in: up to 128 bytes. */
  readonly from?: string;
  /** Relays at which both can be reached; this repo's unless told. Four at most. */
  readonly relays?: readonly string[];
  /** The address of a web app: the link is then one to it, `https://app.example/#once=…`, and otherwise `driftline:once#…`. */
  readonly app?: string | URL;
}

/** How to link a device. */
export interface LinkDeviceOptions {
  /** What this device is called, as the other one shows it. */
  readonly name?: string;
  /** Until when the link can be used: a quarter of an hour unless told. */
  readonly validUntil?: Date;
  readonly relays?: readonly string[];
  /** The address of a web app: the link is then one to it, `https://app.example/#device=…`, and otherwise `driftline:device#…`. */
  readonly app?: string | URL;
}

/** A link that was made, and what it is known by. */
export interface TicketLink {
  readonly id: TicketId;
  readonly link: string;
}

/** A link for a single use that was made on this device, as it stands. */
export interface TicketGiven {
  readonly id: TicketId;
  /** Where it lets in; not there where it is for a device. */
  readonly space?: SpaceId;
  readonly level?: Level;
  readonly note: string;
  readonly ends: Date;
  /**
   * `open`: nobody has asked. `asked`: a device has, and waits for {@link Introductions.confirm}. `used`: someone is in by it. `twoAsked`: two devices
   * asked by it, so that somebody else has seen it, and neither was linked.
   */
  readonly state: "open" | "asked" | "used" | "takenBack" | "declined" | "twoAsked" | "ended";
  /** Who asked, or is in by it. */
  readonly key?: PeerId;
  /** What they call themselves. */
  readonly name: string;
  /** Six digits that the device which asks shows, too: people compare them. */
  readonly code?: string;
}

/** A link for a single use by which this device has asked. */
export interface Ask {
  readonly id: TicketId;
  /** Where it lets in; not there where it links this device. */
  readonly space?: SpaceId;
  readonly level?: Level;
  readonly giver: PeerId;
  /** What they are called, as they say. */
  readonly from: string;
  readonly relays: readonly string[];
  readonly ends: Date;
  readonly state: "waiting" | "in" | "refused" | "ended";
  /** Why not. */
  readonly why?: "used" | "ended" | "takenBack" | "notAllowed" | "declined" | "twoAsked";
  /** Six digits that the device which is asked shows, too. */
  readonly code?: string;
}

/** Another device of the same person. */
export interface Device {
  readonly key: PeerId;
  readonly name: string;
  /** The device that it was linked by. */
  readonly by: PeerId;
  readonly since: Date;
  /** Whether it was given up as lost. */
  readonly lost: boolean;
}

/** A space, as devices of one person tell each other of it. */
export interface SpaceCard {
  readonly space: SpaceId;
  readonly name: string;
  readonly relays: readonly string[];
}

/** What came of passing a space on to a device, or of shutting a device out of one. */
export interface InSpace {
  readonly space: SpaceId;
  readonly name: string;
  /** Why it was not done: a sentence. */
  readonly error?: string;
}

/** How everything stands. */
export interface IntroductionsNow {
  readonly given: readonly TicketGiven[];
  readonly asked: readonly Ask[];
  readonly devices: readonly Device[];
  /** Spaces that other devices of the same person told of: open them by their ids, and add their relays. */
  readonly spaces: readonly SpaceCard[];
}

/** What is told. */
export interface IntroductionsEvents {
  /** Something of {@link Introductions.now} has changed. */
  change: undefined;
}

/** Links for a single use, and devices: see {@link Repo.introductions}. */
export interface Introductions extends Emitter<IntroductionsEvents> {
  /** How everything stands. */
  now(): Promise<IntroductionsNow>;
  /**
   * Asks to be let in by a link for a single use, or to be linked by one for a device, under a name; the relays that it names are added. The
   * answer comes later: listen to `change`. Rejected with a sentence for people when the link is not whole, has ended, or was made here.
   */
  ask(link: string | URL, options?: { readonly name?: string }): Promise<TicketId>;
  /** Forgets that it was asked; an answer changes nothing then. */
  forget(id: TicketId): Promise<void>;
  /** Takes a link back that nobody has used. */
  takeBack(id: TicketId): Promise<void>;
  /** Makes a link by which another device of the same person is linked, once {@link confirm} was called here. */
  linkDevice(options?: LinkDeviceOptions): Promise<TicketLink>;
  /**
   * The device that has asked is the same person's: it is granted what this one has itself in every owned space, and told of all spaces,
   * those named here with their names. Answers what came of each.
   */
  confirm(id: TicketId, spaces?: readonly SpaceCard[]): Promise<readonly InSpace[]>;
  /** It is not. */
  decline(id: TicketId): Promise<void>;
  /** Tells the other devices of a space, or what it is called now. Spaces that are founded or joined are told of by themselves, without a name. */
  passOn(space: SpaceCard): Promise<void>;
  /** Gives a device up as lost: it is shut out of every space where this one may do that. Answers where, and where not and why. */
  unlink(key: PeerId): Promise<readonly InSpace[]>;
}
