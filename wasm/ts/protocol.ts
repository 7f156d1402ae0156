/**
 * What tabs, their workers and the leading one say to each other.
 *
 * Each tab has a hub, in its worker. One hub at a time leads: it runs the engine for all tabs of the profile. Each
 * leader has a term, drawn at random, and what was meant for another term is dropped: a tab that hears of a new term
 * says again all that still matters.
 */

import type { Ask, ConnectionStatus, Level, Member, RelayAddress, RestoreOptions, SpaceAccess, SpaceCard, StorageStatus, TicketGiven } from "./api.js";
import type { MirrorEdit, Resume, ViewUpdate } from "./mirror.js";

/** Commands of the core's that tabs give: see `Command` there. */
export type Command =
  /** The token is the leader's alone to know: the engine is not told. */
  | { command: "addEndpoint"; endpoint: string; token?: string }
  | { command: "removeEndpoint"; endpoint: string }
  | { command: "setOnline"; online: boolean }
  | { command: "networkChanged" }
  | { command: "pushNow" }
  | { command: "openSpace"; space: string }
  | { command: "closeSpace"; space: string }
  | { command: "openView"; view: number; space: string; document: string; resume: Resume[]; mirror: number }
  | ({ command: "editView"; view: number } & MirrorEdit)
  | { command: "closeView"; view: number }
  | { command: "setPresence"; space: string; instance: number; state: string | null };

/** Events of the core's that matter here: see `Event` there. */
export type EngineEvent =
  | { event: "ready"; peer: string; documents: number }
  | { event: "peerConnected"; connection: number; peer: string; relay: boolean; agent: string; endpoint: string | null }
  | { event: "peerDisconnected"; connection: number; peer: string | null; endpoint: string | null; reason: string; retryMs: number | null }
  | { event: "spaceSync"; space: string; peers: number; inSync: number; behind: number; catchUp: EngineCatchUp | null }
  | { event: "documentAdded"; space: string; document: string }
  | { event: "documentChanged"; space: string; document: string }
  | { event: "documentOpened"; document: string }
  | { event: "documentEdited"; document: string }
  | ({ event: "viewUpdated" } & ViewUpdate)
  | { event: "editRefused"; document: string; number: number; view: number | null; reason: string }
  | ({ event: "saved" } & EngineSaved)
  | { event: "presence"; space: string; peer: string; instance: number; state: string | null }
  | { event: "accessChanged"; space: string }
  | { event: "membersChanged"; space: string }
  | { event: "introductionsChanged" }
  | { event: "letterArrived"; letter: string; sender: string; kind: string; expires: number }
  | { event: "letterboxEmptied"; peer: string | null }
  | { event: "letterSent"; letter: string; peer: string | null; taken: boolean }
  | { event: "letterRefused"; letter: string; reason: string; triedAgain: boolean }
  /** Said by the leader, and not by the engine: in another tab. */
  | { event: "letterForgotten"; letter: string }
  | { event: "trouble"; kind: string; document: string | null; connection: number | null; message: string };

/** What has come of what was missing: see `CatchUp` in the core. */
export interface EngineCatchUp {
  documents: { done: number; total: number | null };
  bytes: { done: number; total: number | null };
}

/** How saved a document is, as the engine knows it: see `Saved` in the core. */
export interface EngineSaved {
  document: string;
  device: boolean;
  replicas: number;
  relays: number;
  unsaved: number;
}

/** What this device may do in a space, as the engine knows it; and why it is refused there, as peers say. */
export interface EngineAccess {
  state: Exclude<SpaceAccess["state"], "unknown">;
  level: Level | null;
  /** In seconds of Unix time; 0 for never. */
  expires: number;
  /** Whether the space is sealed, and its key is not here. */
  waitsForKey: boolean;
  refusal?: string;
}

/** A grant, as the engine knows it: see `Member` in the core. */
export interface EngineMember {
  key: string;
  level: Level;
  expires: number;
  note: string;
  by: string | null;
  isLink: boolean;
  isSelf: boolean;
  isDevice: boolean;
  state: Member["state"];
}

/** Something a person does, answered once it is durable: see `Act` in the module. */
export type Act =
  | { act: "foundSpace"; sealed: boolean }
  | { act: "invite"; space: string; level: Level; expires: number; note: string; relays: readonly string[] }
  | { act: "join"; link: string; note: string }
  | { act: "introduce"; what: Introduce }
  | { act: "post"; what: Post }
  | { act: "revoke"; space: string; key: string }
  /** Answered by how many changes were set aside. */
  | { act: "disavow"; space: string; document: string; writer: string | null; actor: string | null };

/** Something about letters: see `Post` in the module. Bytes are in hexadecimal. */
export type Post =
  | { post: "send"; to: string; kind: string; content: string; ends: number; drawn: string }
  | { post: "forget"; letter: string }
  | { post: "fetch" };

/** A letter that was received, as the module tells of it. */
export interface EngineLetter {
  id: string;
  sender: string;
  kind: string;
  /** In hexadecimal. */
  content: string;
  /** In seconds of Unix time. */
  ends: number;
}

/** What of it: see `Introduce` in the module. */
export type Introduce =
  | { introduce: "inviteOnce"; space: string; level: Level; expires: number; note: string; from: string; relays: readonly string[]; ends: number }
  | { introduce: "linkDevice"; name: string; relays: readonly string[]; ends: number }
  | { introduce: "takeBack"; id: string }
  | { introduce: "ask"; link: string; name: string }
  | { introduce: "forgetAsk"; id: string }
  | { introduce: "confirm"; id: string; cards: readonly SpaceCard[] }
  | { introduce: "decline"; id: string }
  | { introduce: "passOn"; card: SpaceCard }
  | { introduce: "unlink"; key: string };

/** A link for a single use that was made here: see `TicketGiven` in the core. */
export interface EngineTicket {
  id: string;
  space: string | null;
  level: Level | null;
  note: string;
  ends: number;
  state: TicketGiven["state"];
  key: string | null;
  name: string;
  code: string | null;
}

/** One that was asked by: see `Ask` in the core. */
export interface EngineAsk {
  id: string;
  space: string | null;
  level: Level | null;
  giver: string;
  from: string;
  relays: string[];
  ends: number;
  state: Ask["state"];
  why: Exclude<Ask["why"], undefined> | null;
  code: string | null;
}

/** Another device: see `Device` in the core. */
export interface EngineDevice {
  key: string;
  name: string;
  by: string;
  since: number;
  lost: boolean;
}

/** What came of something in a space: see `InSpace` in the core. */
export interface EngineInSpace {
  space: string;
  name: string;
  error: string | null;
}

/** How all of that stands. */
export interface EngineIntroductions {
  given: EngineTicket[];
  asked: EngineAsk[];
  devices: EngineDevice[];
  spaces: { space: string; name: string; relays: string[] }[];
}

/** Something a tab asks the engine, and is answered. */
export type Question =
  | { ask: "act"; act: Act }
  | { ask: "spaces" }
  | { ask: "backup" }
  | { ask: "checkRestore"; restore: RestoreOptions }
  | { ask: "members"; space: string }
  | { ask: "introductions" }
  | { ask: "letters" }
  | { ask: "letterIds" }
  | { ask: "letter"; letter: string }
  | { ask: "unsentLetters" }
  /** Answered by the leader. */
  | { ask: "sentLetters" }
  | { ask: "authorship"; document: string }
  | { ask: "history"; document: string; limit: number }
  | { ask: "valueAt"; document: string; heads: readonly string[] }
  | { ask: "cursor"; document: string; heads: readonly string[]; path: readonly (string | number)[]; index: number }
  | { ask: "position"; document: string; heads: readonly string[]; path: readonly (string | number)[]; cursor: string }
  | { ask: "marks"; document: string; path: readonly (string | number)[] }
  | { ask: "export"; document: string }
  | { ask: "settled" };

/** What a tab says to the leader. */
export type Say =
  | { say: "hello"; relays: readonly RelayAddress[] }
  | { say: "command"; command: Command }
  | { say: "ask"; id: number; question: Question }
  | { say: "goodbye" };

/** How the engine and its connections stand. */
export interface Status {
  peerId: string;
  storage: StorageStatus;
  online: boolean;
  connections: readonly ConnectionStatus[];
}

/** What the leader tells a tab. */
export type Tell =
  | { tell: "welcome"; status: Status }
  | { tell: "status"; status: Status }
  | { tell: "documents"; space: string; documents: string[] }
  | { tell: "access"; space: string; access: EngineAccess }
  | { tell: "events"; events: EngineEvent[] }
  | { tell: "answer"; id: number; value?: unknown; error?: string };

/** How a hub begins. */
export interface Start {
  type: "start";
  tab: number;
  name: string;
  storage: StorageChoice;
  online: boolean;
  /** Said once: whoever leads first goes on from this. */
  restore: RestoreOptions | undefined;
  wasm: string | Uint8Array | WebAssembly.Module | undefined;
}

/** Where a repo is to be kept. */
export type StorageChoice = "auto" | "memory" | { file: string };

/** What a tab says to its hub. */
export type ToHub = Start | { type: "say"; term: number; say: Say } | { type: "close" };

/** What a hub tells its tab. */
export type FromHub =
  | { type: "leader"; term: number; role: "leader" | "follower" }
  | { type: "tell"; term: number; tell: Tell }
  | { type: "closed" }
  | { type: "failed"; message: string };

/** What hubs say to each other on their channel. */
export type BetweenHubs =
  | { type: "who" }
  | { type: "leading"; term: number }
  | { type: "say"; term: number; tab: number; say: Say }
  | { type: "tell"; term: number; tab: number; tell: Tell };

/** A number for tabs, views and terms: drawn at random from 2^48, so that no one has to hand them out. */
export function drawNumber(): number {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2)) as unknown as [number, number];
  return (high & 0xffff) * 2 ** 32 + low + 1;
}
