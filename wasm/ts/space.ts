/** A space, open in this tab. */

import { AccessError, accessAtFirst, accessOf, includes } from "./access.js";
import type {
  Amount, DocumentId, Member, PeerId, Presence, ShareOnceOptions, ShareOptions, Space, SpaceAccess, SpaceEvents, SpaceId, SyncStatus, TicketLink,
} from "./api.js";
import { Events, until } from "./events.js";
import { HandleOfTab } from "./handle.js";
import { documentIdOf, isOwnedSpace, isSealedSpace, newDocumentId } from "./ids.js";
import { secondsOf } from "./introductions.js";
import { webLink, webTicket } from "./links.js";
import { PresenceOfTab } from "./presence.js";
import type { EngineAccess, EngineCatchUp, EngineMember } from "./protocol.js";
import type { RepoOfTab } from "./repo.js";

const WEEK_S = 7 * 86_400;

/** A space, open in this tab. */
export class SpaceOfTab extends Events<SpaceEvents> implements Space {
  readonly id: SpaceId;
  readonly isOwned: boolean;
  readonly isSealed: boolean;
  access: SpaceAccess;
  sync: SyncStatus = { peers: 0, inSync: 0, behind: 0 };
  readonly presence: Presence & PresenceOfTab;
  /** Open documents. */
  readonly handles = new Map<DocumentId, HandleOfTab<object>>();

  private readonly repo: RepoOfTab;
  private readonly known = new Set<DocumentId>();
  private list: readonly DocumentId[] | undefined;
  private ready = false;
  private watchers = new Set<() => void>();

  constructor(repo: RepoOfTab, id: SpaceId) {
    super();
    this.repo = repo;
    this.id = id;
    this.isOwned = isOwnedSpace(id);
    this.isSealed = isSealedSpace(id);
    this.access = accessAtFirst(this.isOwned);
    this.presence = new PresenceOfTab(repo, id, () => includes(this.access.level, "presence"), (states) => this.emit("presence", states));
    repo.command({ command: "openSpace", space: id });
  }

  get documents(): readonly DocumentId[] {
    return (this.list ??= Object.freeze([...this.known]));
  }

  whenReady(): Promise<void> {
    return until(() => this.ready && this.access.state !== "unknown", (check) => {
      this.watchers.add(check);
      return () => this.watchers.delete(check);
    }, undefined, "opening a space");
  }

  create<T extends object>(initial: T): HandleOfTab<T> {
    if (!this.access.mayWrite) throw new AccessError(this.access);
    const id = newDocumentId();
    const handle = new HandleOfTab<T>(this.repo, this, id, initial);
    this.handles.set(id, handle as unknown as HandleOfTab<object>);
    this.handleDocuments([id]);
    return handle;
  }

  find<T extends object>(name: DocumentId | string): HandleOfTab<T> {
    const id = documentIdOf(name);
    if (id === undefined) throw new TypeError(`"${name}" is not a document's id: part of it may be missing, or a letter mistyped`);
    const open = this.handles.get(id);
    if (open !== undefined) return open.use() as unknown as HandleOfTab<T>;
    const handle = new HandleOfTab<T>(this.repo, this, id);
    this.handles.set(id, handle as unknown as HandleOfTab<object>);
    return handle;
  }

  async share({ level, ends, note = "", relays = this.repo.relays, app }: ShareOptions): Promise<string> {
    const expires = ends === undefined ? 0 : Math.max(1, Math.floor(ends.getTime() / 1_000)); // 0 would be never
    const link = (await this.repo.act({ act: "invite", space: this.id, level, expires, note, relays })) as string;
    return app === undefined ? link : webLink(link, app);
  }

  async shareOnce({ level, ends, validUntil, note = "", from = "", relays = this.repo.relays, app }: ShareOnceOptions): Promise<TicketLink> {
    const until = validUntil === undefined ? secondsOf(new Date()) + WEEK_S : secondsOf(validUntil);
    const what = { introduce: "inviteOnce", space: this.id, level, expires: ends === undefined ? 0 : secondsOf(ends), note, from, relays, ends: until } as const;
    const made = (await this.repo.act({ act: "introduce", what })) as TicketLink;
    return app === undefined ? made : { ...made, link: webTicket(made.link, app) };
  }

  async members(): Promise<readonly Member[]> {
    const members = (await this.repo.ask({ ask: "members", space: this.id })) as EngineMember[];
    return members.map(({ key, level, expires, note, by, isLink, isSelf, isDevice, state }) => ({
      key: key as PeerId, level, note, isOwner: by === null, isLink, isSelf, isDevice, state,
      ...(expires > 0 ? { ends: new Date(expires * 1_000) } : {}),
      ...(by === null ? {} : { by: by as PeerId }),
    }));
  }

  async revoke(key: PeerId): Promise<void> {
    await this.repo.act({ act: "revoke", space: this.id, key });
  }

  close(): void {
    for (const handle of [...this.handles.values()]) {
      this.repo.command({ command: "closeView", view: handle.view });
      handle.end();
    }
    this.presence.clear();
    this.repo.command({ command: "closeSpace", space: this.id });
    this.repo.spaces.delete(this.id);
    this.silence();
  }

  /** Another engine than before: everything is opened again. */
  reopen(): void {
    this.repo.command({ command: "openSpace", space: this.id });
    this.presence.reopen();
    for (const handle of this.handles.values()) handle.reopen();
  }

  /** The engine holds these, perhaps among others. `whole` when they are all that it held when asked. */
  handleDocuments(ids: readonly string[], whole = false): void {
    const before = this.known.size;
    for (const id of ids) this.known.add(id as DocumentId);
    if (this.known.size > before) {
      this.list = undefined;
      this.emit("documents", this.documents);
    }
    if (whole && !this.ready) {
      this.ready = true;
      for (const check of [...this.watchers]) check();
    }
  }

  handleAccess(said: EngineAccess): void {
    const access = accessOf(said);
    if (JSON.stringify(access) === JSON.stringify(this.access)) return;
    this.access = access;
    this.presence.look(access.level !== null);
    for (const handle of this.handles.values()) handle.handleAccess();
    for (const check of [...this.watchers]) check();
    this.emit("access", access);
  }

  handleMembers(): void {
    this.emit("members", undefined);
  }

  handleSync({ peers, inSync, behind, catchUp }: Omit<SyncStatus, "catchUp"> & { catchUp: EngineCatchUp | null }): void {
    const progress = catchUp === null ? {} : { catchUp: Object.freeze({ documents: amountOf(catchUp.documents), bytes: amountOf(catchUp.bytes) }) };
    this.sync = Object.freeze({ peers, inSync, behind, ...progress });
    this.emit("sync", this.sync);
  }
}

function amountOf({ done, total }: { done: number; total: number | null }): Amount {
  return Object.freeze(total === null ? { done } : { done, total });
}
