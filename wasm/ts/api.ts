/**
 * Everything an app sees of Driftline.
 *
 * An app opens a {@link Repo}, asks it for a {@link Space}, and in that finds or creates documents, each behind a
 * {@link DocHandle}. What a handle shows is a mirror: plain, frozen values that an edit changes at once, before the
 * engine (in a worker), the disk or the network have seen it. What they make of it arrives as events.
 *
 * Names are automerge-repo's where the thing is the same.
 */

import type { Backup, RestoreOptions } from "./api-backup.js";
import type { Introductions, ShareOnceOptions, TicketLink } from "./api-introductions.js";
import type { Letters } from "./api-letters.js";
import type { Authorship, FoundOptions, JoinOptions, Member, ShareOptions, SpaceAccess } from "./api-owned.js";
import type { Counter, ImmutableString } from "./scalar.js";

export * from "./api-backup.js";
export * from "./api-introductions.js";
export * from "./api-letters.js";
export * from "./api-owned.js";

/** A document in every replica, shown in base58check as automerge-repo shows it. */
export type DocumentId = string & { readonly __documentId: true };

/** A space in every replica, shown in base58check. */
export type SpaceId = string & { readonly __spaceId: true };

/** A replica: its public key in hexadecimal. All tabs of a browser profile are one replica. */
export type PeerId = string & { readonly __peerId: true };

/** The hashes of the changes that nothing depends on yet: a version of a document. */
export type Heads = readonly string[];

/** One step of a path: a key of an object, or an index into a list or text (in UTF-16 units, as in JavaScript). */
export type Prop = string | number;

/** Where in a document; the whole document is the empty path. */
export type Path = readonly Prop[];

/** A document, to read: plain values, frozen. Parts that a change left alone keep their identity (`===`). */
export type Doc<T> = T extends Counter | ImmutableString | Date | Uint8Array | string | number | boolean | bigint | null | undefined
  ? T
  : T extends readonly (infer E)[]
    ? readonly Doc<E>[]
    : { readonly [K in keyof T]: Doc<T[K]> };

/** Takes a listener off again. */
export type Unsubscribe = () => void;

/** Something that tells of events named in `Events`. */
export interface Emitter<Events> {
  /** Calls `listener` at each event of this name, until the answer is called. */
  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): Unsubscribe;
  /** Calls `listener` at the next event of this name only. */
  once<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): Unsubscribe;
  /** Takes off a listener that `on` put on. */
  off<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): void;
}

// ------------------------------------------------------------------------------------------------------------- repo

/** A relay that may want a token. */
export interface RelayAddress {
  /** `wss://…/sync`. */
  readonly url: string;
  /**
   * What its operator has given out (`driftline token`). It is kept in this page and its worker alone: no event, no status, no link and nothing stored has it, so that an
   * app says it again each time. The relay is shown it when a connection is opened: in a browser, which has no other way, behind the address, over TLS where that is `wss:`.
   */
  readonly token?: string;
}

/** How to open a repo; every part may be left out. */
export interface RepoOptions {
  /** Which store of this profile: repos of one name share documents, storage and sockets. `"driftline"` unless told. */
  name?: string;
  /**
   * Relays to keep connections to: `wss://…/sync`, with a token for one that lets in whoever shows one. With none, the tabs of the profile still work
   * together.
   */
  relays?: readonly (string | RelayAddress)[];
  /**
   * Where documents are kept: the best there is (`"auto"`), nowhere (`"memory"`, for tests and private work; not shared between
   * tabs), or in Node in a file, which one process at a time may use.
   */
  storage?: "auto" | "memory" | { readonly file: string };
  /** Whether to begin online. `true` unless told. */
  online?: boolean;
  /**
   * Where the engine runs: a function that makes the worker (for bundlers which do not understand the package's own
   * `new URL("./worker.js", import.meta.url)`), or `false` to run it on this thread. A worker where there are workers unless told.
   */
  worker?: (() => Worker) | false;
  /**
   * Goes on from a recovery phrase and a backup, instead of from what is stored. Opening is rejected, with a sentence for people, where documents are
   * stored already, or another tab has the store open, or phrase or file are wrong; nothing is changed then. The device that was backed up must be gone: two of
   * one key count as one.
   */
  restore?: RestoreOptions;
  /** The engine's module, when it is not to be loaded from beside the package: its address, or its bytes. */
  wasm?: string | URL | Uint8Array | WebAssembly.Module;
}

/** Where documents are kept on this device. */
export interface StorageStatus {
  /** By what means. */
  readonly kind: "opfs" | "indexeddb" | "file" | "memory";
  /** Whether it outlives the page. */
  readonly durable: boolean;
  /** Whether the browser has promised not to evict it when room gets short. */
  readonly persisted: boolean;
  /** Whether there is not one document: a first visit, or the browser has cleared what there was. */
  readonly isEmpty: boolean;
  /** A sentence to show to people when `durable` is false: what that means for them, and why it is so. */
  readonly warning?: string;
}

/** One endpoint and how the connection to it stands. */
export interface ConnectionStatus {
  /** The endpoint, as it was named in the options or in `addRelay`, without a token. */
  readonly endpoint: string;
  /** `waiting` to dial again (see `retryAt`); `offline` when this repo works offline. */
  readonly state: "connecting" | "connected" | "waiting" | "offline";
  /** When it is dialled again, in milliseconds since the Unix epoch, while `waiting`. */
  readonly retryAt?: number;
  /** Why the last connection or attempt ended: a sentence. */
  readonly reason?: string;
  /**
   * The relay lets in whoever shows a token, and was shown none that is good there: `reason` says so in a sentence. It is dialled again as always; `addRelay` with
   * another token dials it at once.
   */
  readonly wantsToken?: boolean;
  /** Whether the peer there is a relay; false until it is known. */
  readonly relay: boolean;
  /** Who is there, while connected. */
  readonly peerId?: PeerId;
}

/** Something that went wrong, that people should know of. */
export interface Trouble {
  /** Of what kind. `crash` means that the engine stopped; it is started again, a few times. */
  readonly kind: "storeWrite" | "storeRead" | "storeOpen" | "damaged" | "protocol" | "refused" | "forked" | "forbidden" | "wentBack" | "heldBack" | "editRefused" | "crash";
  /** The document it is about. */
  readonly document?: DocumentId;
  /** A sentence for people: what happened, and what can be done. */
  readonly message: string;
}

/** What a repo tells. */
export interface RepoEvents {
  /** A connection's state changed: all of them. */
  connections: readonly ConnectionStatus[];
  /** Storage was lost, or became persistent. */
  storage: StorageStatus;
  /** `setOnline` was called, here or in another tab. */
  online: boolean;
  /** This tab began, or ceased, to run the engine for the others. */
  role: "leader" | "follower";
  /** Something went wrong. */
  trouble: Trouble;
  /** The repo is closed; nothing more comes. */
  close: undefined;
}

/** A replica of this browser profile, shared by its tabs; or of this Node process. */
export interface Repo extends Emitter<RepoEvents> {
  /** Who this replica is. */
  readonly peerId: PeerId;
  /** Which of the replica's tabs this is: a number drawn at random, as in {@link PresenceState}. */
  readonly instance: number;
  /** Where documents are kept. */
  readonly storage: StorageStatus;
  /** Whether this repo dials at all. It says nothing about the network: see `connections`. */
  readonly online: boolean;
  /** Every endpoint, in the order they were added. */
  readonly connections: readonly ConnectionStatus[];
  /** Whether this tab runs the engine, or another does. */
  readonly role: "leader" | "follower";
  /** Works offline (closes every connection) or online again, in all tabs. */
  setOnline(online: boolean): void;
  /** Keeps a connection to this relay; with a token, shows it that from now on. Throws where that cannot be one. */
  addRelay(relay: string | RelayAddress): void;
  /** Lets go of a relay and of the connection to it. */
  removeRelay(endpoint: string): void;
  /** The space of this id, or the one that this name stands for everywhere. The same space each time. */
  space(nameOrId: string): Space;
  /**
   * Founds a space that belongs to this replica: nobody else is let in but by its links. Ready to be written to, and kept on this device,
   * once it is there.
   */
  foundSpace(options?: FoundOptions): Promise<Space>;
  /**
   * Joins a space by a link: `driftline:join#…`, or a web app's address with `#join=…`. Works without a network; the relays that the link names are
   * added. Rejected with a sentence for people when it is no whole link, or has ended. Joining again by the same link changes nothing.
   */
  join(link: string | URL, options?: JoinOptions): Promise<Space>;
  /** Links for a single use, and other devices of the same person. */
  readonly introductions: Introductions;
  /** Letters for people who may be away. */
  readonly letters: Letters;
  /**
   * Asks the browser not to evict what is stored when room gets short; answers whether it promises that. Asked by itself
   * where the browser decides without a question to the person; elsewhere call it when they have just made something of worth.
   */
  persist(): Promise<boolean>;
  /** The spaces of which this device holds documents, or that are open. */
  heldSpaces(): Promise<readonly SpaceId[]>;
  /** Looks whether opening with `restore` would go on from these: rejected with a sentence for people where not. */
  checkRestore(restore: RestoreOptions): Promise<void>;
  /** A backup of all that is kept on this device, and its recovery phrase. */
  backup(): Promise<Backup>;
  /** Says goodbye, waits until what was written is kept, and ends the engine if it is this tab's. */
  close(): Promise<void>;
}

/** Opens repos. */
export interface RepoConstructor {
  /**
   * Opens the profile's repo of this name; ready once its store is open and it knows who it is. It never waits for the
   * network. Fails only when there is no engine to run (the module cannot be loaded).
   */
  open(options?: RepoOptions): Promise<Repo>;
}

// ------------------------------------------------------------------------------------------------------------ space

/** How far a space has come with the peers that sync it. */
export interface SyncStatus {
  /** Connected peers that sync it. */
  readonly peers: number;
  /** Of these, how many have nothing more to send or to ask for, as far as is known. */
  readonly inSync: number;
  /** Documents known to differ from some peer. */
  readonly behind: number;
  /** While something is missing on this device: how much of it has come since that was found. It is gone when nothing is missing. */
  readonly catchUp?: CatchUp;
}

/** How much has come of what was missing. */
export interface CatchUp {
  /** Documents that nothing is missing of any more. */
  readonly documents: Amount;
  /** Bytes, as they travel; the total is about right. */
  readonly bytes: Amount;
}

/** So much of so much. */
export interface Amount {
  readonly done: number;
  /** What there is to do, with what is done. Not there while it is not known: show no share of it then. */
  readonly total?: number;
}

/** What a space tells. */
export interface SpaceEvents {
  /** Documents were added: all ids now. */
  documents: readonly DocumentId[];
  /** How far it has come with its peers. */
  sync: SyncStatus;
  /** Someone's presence came, changed or went: all states now. */
  presence: readonly PresenceState[];
  /** What this device may do has changed. */
  access: SpaceAccess;
  /** Someone was let in or shut out, or a link was made: ask `members()`. */
  members: undefined;
}

/** A set of documents that travel together. */
export interface Space extends Emitter<SpaceEvents> {
  readonly id: SpaceId;
  /** Whether it belongs to a replica, as its id shows; otherwise it is open. */
  readonly isOwned: boolean;
  /** Whether what is in it is encrypted from end to end, as its id shows: only members read it, and relays do not. */
  readonly isSealed: boolean;
  /** What this device may do here. The same object until it changes. */
  readonly access: SpaceAccess;
  /** Resolved when `documents` is what this device holds, and `access` is known. */
  whenReady(): Promise<void>;
  /** Every document held, in no order that means anything. A new array when it changes. */
  readonly documents: readonly DocumentId[];
  readonly sync: SyncStatus;
  readonly presence: Presence;
  /** Makes a document of this value; it is ready at once. Throws an `AccessError` where this device may not write. */
  create<T extends object>(initial: T): DocHandle<T>;
  /**
   * Opens a document, by its id or by its URL in automerge-repo (`automerge:…`). One that is not held is `unavailable` until a peer
   * brings it.
   */
  find<T extends object>(id: DocumentId | string): DocHandle<T>;
  /**
   * Makes a link by which whoever has it joins this space, as often as it is used, until it ends or is revoked. Give it away on a way that nobody else
   * reads. Rejected in an open space, whose name is link enough, and where this device may not let others in.
   */
  share(options: ShareOptions): Promise<string>;
  /**
   * Makes a link by which one person comes in: the first who asks by it, once this device hears of them, at once or when it is there again. It can be
   * taken back until then ({@link Introductions.takeBack}); who comes second is told so. Rejected where this device may not let others in.
   */
  shareOnce(options: ShareOnceOptions): Promise<TicketLink>;
  /** Everyone who is or was let in, and every link: the owner first, then each after whom it was let in by. Rejected in an open space. */
  members(): Promise<readonly Member[]>;
  /**
   * Shuts a key out: a member's, or a link's with all who came by it. At once wherever they are connected, and where this device is offline, as soon as it is
   * not. What they wrote stays as far as this device holds it; all they write from then on is refused everywhere. They keep what they have.
   */
  revoke(key: PeerId): Promise<void>;
  /** Stops syncing this space; what is stored stays stored. Its handles are closed. */
  close(): void;
}

/** One tab's presence. */
export interface PresenceState<S = unknown> {
  /** Whose. */
  readonly peerId: PeerId;
  /** Which of that replica's tabs; unique together with `peerId`. */
  readonly instance: number;
  /** What it shows: any JSON, by the app's own agreement. */
  readonly state: S;
}

/** Short-lived state (a name, a colour, a cursor) shown to everyone in a space and never stored. */
export interface Presence {
  /** Shows this state to others until it is replaced, cleared, or this tab is gone. Sent at most every 50 ms, the newest. */
  set(state: unknown): void;
  /** Shows nothing more; a goodbye goes out at once. */
  clear(): void;
  /** Everyone else's: other replicas' and this profile's other tabs', not this tab's own. A new array when it changes. */
  readonly states: readonly PresenceState[];
  /** Calls `listener` with all states whenever one comes, changes or goes. */
  on(name: "change", listener: (states: readonly PresenceState[]) => void): Unsubscribe;
}

// --------------------------------------------------------------------------------------------------------- document

/**
 * One difference. Applied in order to the value before, patches give the value after. A new object, list or text
 * arrives empty and is filled by the patches that follow, or whole.
 */
export type Patch =
  | { readonly action: "put"; readonly path: Path; readonly value: unknown }
  | { readonly action: "insert"; readonly path: Path; readonly values: readonly unknown[] }
  /** A key; or `length` elements of a list, or units of a text, from the last step of `path`. */
  | { readonly action: "delete"; readonly path: Path; readonly length: number }
  /** Text inserted at the last step of `path`. */
  | { readonly action: "splice"; readonly path: Path; readonly insert: string }
  | { readonly action: "increment"; readonly path: Path; readonly by: number }
  | { readonly action: "mark"; readonly path: Path; readonly start: number; readonly end: number; readonly name: string; readonly value: unknown };

/** A document has changed. */
export interface ChangeEvent<T> {
  /** The document now. */
  readonly doc: Doc<T>;
  /** The document before. */
  readonly before: Doc<T> | undefined;
  /** What changed, to move an editor or a list by. Empty when the document has just become ready. */
  readonly patches: readonly Patch[];
  /** `local` when this handle's own `change` or `splice` did it; another tab's edits are `remote`. */
  readonly source: "local" | "remote";
}

/** How saved a document is: each number is about everything in the document as it is shown. */
export interface SavedStatus {
  /** The surest place that holds all of it: `replicas` when at least one other replica does. */
  readonly level: "memory" | "device" | "replicas";
  /** Whether all of it is durable on this device (never true while storage is memory only). */
  readonly device: boolean;
  /** How many other replicas hold all of it durably. */
  readonly replicas: number;
  /** How many of these are relays. */
  readonly relays: number;
  /** Edits and changes not yet durable on this device. */
  readonly unsaved: number;
}

/** A level to wait for: this device, or so many other replicas, or so many relays. */
export type SavedLevel = "device" | { readonly replicas: number } | { readonly relays: number };

/** One change in a document's history. */
export interface HistoryEntry {
  /** The change. `valueAt([hash])` is the document right after it, as its author saw it. */
  readonly hash: string;
  /** Who wrote it: an actor's id; a replica has several over time. */
  readonly actor: string;
  /** Its number among this actor's. */
  readonly seq: number;
  /** When, by its author's clock. */
  readonly time?: Date;
  /** What its author said of it. */
  readonly message?: string;
}

/** What a handle tells. */
export interface DocHandleEvents<T> {
  change: ChangeEvent<T>;
  saved: SavedStatus;
  /** The state changed. */
  state: DocHandleState;
  /** `isPreview` changed. */
  preview: boolean;
}

/**
 * `loading`: the engine has not answered yet. `unavailable`: this device holds nothing of it, and waits for a peer that
 * does. `ready`: `doc()` is there and can be changed. `closed`: the handle was let go.
 */
export type DocHandleState = "loading" | "unavailable" | "ready" | "closed";

/** A stretch of text to format, and which of its ends grow when someone types there: `"after"`, its end, unless told. */
export interface MarkRange {
  readonly start: number;
  /** The position after the last. */
  readonly end: number;
  readonly expand?: "none" | "before" | "after" | "both";
}

/** Formatting of a stretch of text. */
export interface Mark {
  readonly start: number;
  /** The position after the last. */
  readonly end: number;
  /** Such as `bold`. */
  readonly name: string;
  readonly value: unknown;
}

/** A place in a text that moves with what is written around it. */
export type Cursor = string & { readonly __cursor: true };

/** A document, open. Close it when it is no longer shown; `find` it again at any time. */
export interface DocHandle<T> extends Emitter<DocHandleEvents<T>> {
  readonly id: DocumentId;
  readonly space: Space;
  readonly state: DocHandleState;
  readonly isReady: boolean;
  /**
   * Whether `doc()` is what was stored when the document was last open here, shown while the document itself is loaded: it may be
   * behind for a moment, and can be changed like any other. Documents that load in no time have no such view.
   */
  readonly isPreview: boolean;
  /** Resolved once it is ready, rejected when it is closed before, or `timeout` milliseconds have passed. */
  whenReady(options?: { timeout?: number; signal?: AbortSignal }): Promise<void>;
  /** The document now; nothing until it is ready. The same object until it changes. */
  doc(): Doc<T> | undefined;
  /** The version last heard from the engine; the newest edits may not be in it yet. */
  readonly heads: Heads;
  /**
   * Changes the document: `fn` is given a draft that it changes like a plain object, and all of it becomes one change.
   * The document shows it when this returns. When `fn` throws, nothing is changed. `fn` must not be asynchronous.
   *
   * Assigning a string makes new collaborative text, which replaces what stood there as a whole (the same string changes
   * nothing): to edit text so that concurrent edits merge, use {@link SpliceFunction | splice} or
   * {@link UpdateTextFunction | updateText}. Assigning an object or list puts in a copy. `undefined` is refused: use `delete` or `null`.
   *
   * Throws when the document is not ready, and an `AccessError` where this device may not write. An edit made just before that became known
   * stays in the document on this device.
   */
  change(fn: (draft: T) => void, options?: { message?: string }): void;
  /** Replaces `del` units of the text at `path` from `index` on; `change` with a single `splice`. */
  splice(path: Path, index: number, del: number, text?: string): void;
  readonly saved: SavedStatus;
  /**
   * Resolved once all that the document shows now is saved so, whatever is written after; rejected after `timeout`
   * milliseconds, when there is one, or when the handle is closed.
   */
  whenSaved(level?: SavedLevel, options?: { timeout?: number; signal?: AbortSignal }): Promise<void>;
  /** Changes, the newest first; at most `limit` (1,000 unless told). */
  history(options?: { limit?: number }): Promise<readonly HistoryEntry[]>;
  /** The document as it was at these heads; rejected when they are not held. */
  valueAt(heads: Heads): Promise<Doc<T>>;
  /** A cursor for this position of the text at `path`, as the document shows it now. */
  cursor(path: Path, index: number): Promise<Cursor>;
  /** Where a cursor stands now. */
  position(path: Path, cursor: Cursor): Promise<number>;
  /** The formatting of the text at `path`: not part of the plain value, and changed by patches of `mark`. */
  marks(path: Path): Promise<readonly Mark[]>;
  /** Who wrote what, and how much of that they have vouched for. */
  authorship(): Promise<readonly Authorship[]>;
  /**
   * Sets aside, on every replica, what nobody has vouched for in it; what was built on it is made again by whoever wrote that. Answers how many changes of it were held
   * here. Narrowed to a `writer`, or to an `actor`, of which this device need hold nothing. What stays unvouched for is somebody's last second before their device failed, or made up in their name by a relay. Should its writer vouch for it after
   * all, it comes back. Rejected where this device may not write, and in sealed and open spaces.
   */
  disavow(whose?: { writer?: PeerId; actor?: string }): Promise<number>;
  /** The document as an `.automerge` file. */
  export(): Promise<Uint8Array>;
  /** Lets it go: no more events. What was written is still saved and sent. */
  close(): void;
}

/** Replaces `del` units of the text at `path` of a draft, from `index` on, by `text`. Only inside `change`. */
export type SpliceFunction = (draft: object, path: Path, index: number, del: number, text?: string) => void;

/** Makes the text at `path` of a draft read `text` by the smallest edit that does. Only inside `change`. */
export type UpdateTextFunction = (draft: object, path: Path, text: string) => void;

/** Formats a stretch of the text at `path` of a draft. Only inside `change`. */
export type MarkFunction = (draft: object, path: Path, range: MarkRange, name: string, value: unknown) => void;

/** Takes formatting off a stretch of the text at `path` of a draft. Only inside `change`. */
export type UnmarkFunction = (draft: object, path: Path, range: MarkRange, name: string) => void;
