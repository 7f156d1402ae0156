/** A space, open in this tab. */

import type { Amount, DocumentId, Presence, Space, SpaceEvents, SpaceId, SyncStatus } from "./api.js";
import { Events, until } from "./events.js";
import { HandleOfTab } from "./handle.js";
import { documentIdOf, newDocumentId } from "./ids.js";
import { PresenceOfTab } from "./presence.js";
import type { EngineCatchUp } from "./protocol.js";
import type { RepoOfTab } from "./repo.js";

/** A space, open in this tab. */
export class SpaceOfTab extends Events<SpaceEvents> implements Space {
  readonly id: SpaceId;
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
    this.presence = new PresenceOfTab(repo, id, (states) => this.emit("presence", states));
    repo.command({ command: "openSpace", space: id });
  }

  get documents(): readonly DocumentId[] {
    return (this.list ??= Object.freeze([...this.known]));
  }

  whenReady(): Promise<void> {
    return until(() => this.ready, (check) => {
      this.watchers.add(check);
      return () => this.watchers.delete(check);
    }, undefined, "opening a space");
  }

  create<T extends object>(initial: T): HandleOfTab<T> {
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

  handleSync({ peers, inSync, behind, catchUp }: Omit<SyncStatus, "catchUp"> & { catchUp: EngineCatchUp | null }): void {
    const progress = catchUp === null ? {} : { catchUp: Object.freeze({ documents: amountOf(catchUp.documents), bytes: amountOf(catchUp.bytes) }) };
    this.sync = Object.freeze({ peers, inSync, behind, ...progress });
    this.emit("sync", this.sync);
  }
}

function amountOf({ done, total }: { done: number; total: number | null }): Amount {
  return Object.freeze(total === null ? { done } : { done, total });
}
