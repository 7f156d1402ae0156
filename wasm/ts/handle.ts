/** A document, open: the mirror, and what an app does with it. */

import { AccessError } from "./access.js";
import type {
  Authorship, ChangeEvent, Cursor, Doc, DocHandle, DocHandleEvents, DocHandleState, DocumentId, Heads, HistoryEntry, Mark, Path, PeerId, SavedLevel, SavedStatus,
} from "./api.js";
import { record, splice } from "./draft.js";
import { Events, until } from "./events.js";
import { Mirror, type MirrorEdit, type ViewUpdate } from "./mirror.js";
import { drawNumber, type EngineSaved } from "./protocol.js";
import type { RepoOfTab } from "./repo.js";
import type { SpaceOfTab } from "./space.js";
import { decode, type Json, wellFormed } from "./value.js";

const NOTHING_SAVED: EngineSaved = { document: "", device: false, replicas: 0, relays: 0, unsaved: 0 };

/** A document, open in this tab. */
export class HandleOfTab<T extends object> extends Events<DocHandleEvents<T>> implements DocHandle<T> {
  readonly id: DocumentId;
  readonly space: SpaceOfTab;
  state: DocHandleState;
  /** The number the engine knows the mirror by. */
  view = drawNumber();
  /** Who the mirror is, through all its views. */
  private readonly mirrorId = drawNumber();

  private readonly repo: RepoOfTab;
  private readonly mirror: Mirror;
  /** How often `find` and `create` answered this. */
  private uses = 1;
  private engineSaved = NOTHING_SAVED;
  /** The last edit that `engineSaved` speaks of. */
  private savedCovers = 0;
  private engineHeads = "";
  private shownSaved: SavedStatus;
  /** Edits that the engine could not make for want of a sealed space's key, until that is here. */
  private held: MirrorEdit[] = [];
  private watchers = new Set<{ check: () => void; fail: (error: Error) => void }>();

  constructor(repo: RepoOfTab, space: SpaceOfTab, id: DocumentId, initial?: object) {
    super();
    this.repo = repo;
    this.space = space;
    this.id = id;
    this.state = initial === undefined ? "loading" : "ready";
    this.mirror = initial === undefined ? new Mirror() : Mirror.of(Object.freeze({}));
    if (initial !== undefined) {
      this.mirror.edit(record<Record<string, unknown>>(this.mirror.value as object, (draft) => {
        for (const [key, value] of Object.entries(initial)) draft[key] = value;
      }));
    }
    this.shownSaved = this.currentSaved();
    repo.views.set(this.view, this as unknown as HandleOfTab<object>);
    this.openView();
  }

  get isReady(): boolean {
    return this.state === "ready";
  }

  get isPreview(): boolean {
    return this.mirror.isPreview;
  }

  get heads(): Heads {
    return this.mirror.heads;
  }

  get saved(): SavedStatus {
    return this.shownSaved;
  }

  doc(): Doc<T> | undefined {
    return this.state === "ready" || this.state === "closed" ? (this.mirror.value as Doc<T> | undefined) : undefined;
  }

  whenReady(options?: { timeout?: number; signal?: AbortSignal }): Promise<void> {
    return this.wait(() => this.state === "ready", options, `opening document ${this.id}`);
  }

  change(fn: (draft: T) => void, options?: { message?: string }): void {
    if (this.state !== "ready") throw new Error(`document ${this.id} is ${this.state}: wait for whenReady() before changing it`);
    if (!this.space.access.mayWrite) throw new AccessError(this.space.access);
    const before = this.mirror.value as Doc<T>;
    const recorded = record<T>(before as object, fn);
    if (recorded.ops.length === 0) return;
    const edit = this.mirror.edit(recorded, options?.message === undefined ? undefined : wellFormed(options.message));
    if (edit !== undefined) this.sendEdit(edit);
    this.updateSaved();
    this.emit("change", { doc: this.mirror.value as Doc<T>, before, patches: recorded.patches, source: "local" });
  }

  splice(path: Path, index: number, del: number, text = ""): void {
    this.change((draft) => splice(draft, path, index, del, text));
  }

  whenSaved(level: SavedLevel = "device", options?: { timeout?: number; signal?: AbortSignal }): Promise<void> {
    const { storage } = this.repo;
    if (level === "device" && !storage.durable) return Promise.reject(new Error(storage.warning ?? "nothing is kept on this device"));
    const target = this.mirror.made;
    const reached = (): boolean => {
      if (this.savedCovers < Math.min(target, this.mirror.made) || !this.mirror.isAttached) return false;
      if (level === "device") return this.engineSaved.device;
      return "relays" in level ? this.engineSaved.relays >= level.relays : this.engineSaved.replicas >= level.replicas;
    };
    return this.wait(reached, options, `saving document ${this.id}`);
  }

  async history(options?: { limit?: number }): Promise<readonly HistoryEntry[]> {
    const entries = (await this.repo.ask({ ask: "history", document: this.id, limit: options?.limit ?? 1_000 })) as {
      hash: string; actor: string; seq: number; timeMs: number; message: string | null;
    }[];
    return entries.reverse().map(({ hash, actor, seq, timeMs, message }) => ({
      hash, actor, seq, ...(timeMs > 0 ? { time: new Date(timeMs) } : {}), ...(message === null ? {} : { message }),
    }));
  }

  async valueAt(heads: Heads): Promise<Doc<T>> {
    return decode((await this.repo.ask({ ask: "valueAt", document: this.id, heads })) as Json) as Doc<T>;
  }

  async cursor(path: Path, index: number): Promise<Cursor> {
    await this.settled();
    return (await this.repo.ask({ ask: "cursor", document: this.id, heads: this.heads, path, index })) as Cursor;
  }

  async position(path: Path, cursor: Cursor): Promise<number> {
    await this.settled();
    return (await this.repo.ask({ ask: "position", document: this.id, heads: this.heads, path, cursor })) as number;
  }

  async marks(path: Path): Promise<readonly Mark[]> {
    await this.settled();
    const marks = (await this.repo.ask({ ask: "marks", document: this.id, path })) as (Mark & { value: Json })[];
    return marks.map((mark) => ({ ...mark, value: decode(mark.value) }));
  }

  async authorship(): Promise<readonly Authorship[]> {
    const parts = (await this.repo.ask({ ask: "authorship", document: this.id })) as (Omit<Authorship, "writer"> & { writer: PeerId | null })[];
    return parts.map(({ writer, ...part }) => (writer === null ? part : { ...part, writer }));
  }

  async disavow({ writer = null, actor = null }: { writer?: PeerId | null; actor?: string | null } = {}): Promise<number> {
    return (await this.repo.act({ act: "disavow", space: this.space.id, document: this.id, writer, actor })) as number;
  }

  async export(): Promise<Uint8Array> {
    await this.settled();
    return (await this.repo.ask({ ask: "export", document: this.id })) as Uint8Array;
  }

  close(): void {
    if (this.state === "closed" || --this.uses > 0) return;
    this.repo.command({ command: "closeView", view: this.view });
    this.end();
  }

  /** One more `find` has answered this. */
  use(): this {
    this.uses++;
    return this;
  }

  /** Ends without telling the engine, which is told otherwise or gone. */
  end(): void {
    if (this.state === "closed") return;
    this.state = "closed";
    this.repo.views.delete(this.view);
    this.space.handles.delete(this.id);
    this.emit("state", "closed");
    for (const { fail } of [...this.watchers]) fail(new Error(`document ${this.id} was closed`));
    this.silence();
  }

  /** What this device may do in the space has changed. */
  handleAccess(): void {
    if (!this.space.access.waitsForKey) for (const edit of this.held.splice(0)) this.sendEdit(edit);
  }

  /** Another engine than before: what the mirror shows is offered to it. */
  reopen(): void {
    this.held = [];
    this.savedCovers = -1;
    this.engineHeads = "";
    this.openView();
  }

  /** The engine's answer. */
  handleUpdate(update: ViewUpdate): void {
    const wasPreview = this.mirror.isPreview;
    let taken: ReturnType<Mirror["take"]>;
    try {
      taken = this.mirror.take(update);
    } catch (error) {
      return this.startAgain(error);
    }
    const heads = update.heads.join();
    // An edit that did nothing changes nothing that is saved either, and the engine has nothing to say of it.
    if (heads === this.engineHeads && this.savedCovers >= 0) this.savedCovers = Math.max(this.savedCovers, update.covers);
    this.engineHeads = heads;
    if (this.space.access.waitsForKey) this.held.push(...taken.send);
    else for (const edit of taken.send) this.sendEdit(edit);
    this.showState(update, taken.change);
    if (wasPreview !== this.mirror.isPreview) this.emit("preview", this.mirror.isPreview);
    this.updateSaved();
    this.check();
  }

  /** How saved the document is, by the engine. */
  handleSaved(saved: EngineSaved): void {
    this.engineSaved = saved;
    this.savedCovers = this.mirror.covered;
    if (saved.device && this.mirror.isAttached) this.mirror.onDurable();
    this.updateSaved();
    this.check();
  }

  /** The engine could not make an edit. Answers whether people should know: the edit may have been made again. */
  handleRefused(number: number): boolean {
    return this.mirror.onRefused(number);
  }

  private showState(update: ViewUpdate, change: ReturnType<Mirror["take"]>["change"]): void {
    const before = this.state;
    if (before === "loading" || before === "unavailable") {
      this.state = update.heads.length === 0 ? "unavailable" : "ready";
      if (this.state !== before) this.emit("state", this.state);
      if (this.state === "ready") this.tell({ doc: this.mirror.value as Doc<T>, before: undefined, patches: [], source: "remote" });
    } else if (change !== undefined && change.patches.length > 0) {
      const { patches } = change;
      this.tell({ doc: this.mirror.value as Doc<T>, before: change.before as Doc<T>, patches, source: "remote" });
    }
  }

  private tell(event: ChangeEvent<T>): void {
    this.emit("change", event);
  }

  /** A patch did not fit. The view is opened anew, and the engine answers with the whole document. */
  private startAgain(error: unknown): void {
    console.warn(`driftline: document ${this.id} is loaded again:`, error);
    const before = this.view;
    this.repo.views.delete(before);
    this.view = drawNumber();
    this.repo.views.set(this.view, this as unknown as HandleOfTab<object>);
    this.mirror.resume();
    this.held = [];
    this.repo.command({ command: "openView", view: this.view, space: this.space.id, document: this.id, resume: [], mirror: this.mirrorId });
    // After that: a mirror without a view is forgotten, with all that is known of its edits.
    this.repo.command({ command: "closeView", view: before });
  }

  private openView(): void {
    this.repo.command({ command: "openView", view: this.view, space: this.space.id, document: this.id, resume: this.mirror.resume(), mirror: this.mirrorId });
  }

  private sendEdit(edit: MirrorEdit): void {
    this.repo.command({ command: "editView", view: this.view, ...edit });
  }

  private currentSaved(): SavedStatus {
    const pending = this.mirror.made - Math.max(0, this.savedCovers);
    const { replicas, relays, unsaved } = this.engineSaved;
    const device = this.engineSaved.device && this.repo.storage.durable;
    if (pending > 0 || this.savedCovers < 0) return { level: "memory", device: false, replicas: 0, relays: 0, unsaved: unsaved + Math.max(0, pending) };
    return { level: replicas > 0 ? "replicas" : device ? "device" : "memory", device, replicas, relays, unsaved };
  }

  private updateSaved(): void {
    const next = this.currentSaved();
    const before = this.shownSaved;
    if (next.device === before.device && next.replicas === before.replicas && next.relays === before.relays && next.unsaved === before.unsaved) return;
    this.shownSaved = next;
    this.emit("saved", next);
  }

  /** Resolved when the mirror shows a version that the engine knows. */
  private settled(): Promise<void> {
    return this.wait(() => this.mirror.isAttached && this.mirror.covered >= this.mirror.made, undefined, `document ${this.id}`);
  }

  private wait(ready: () => boolean, options: { timeout?: number; signal?: AbortSignal } | undefined, what: string): Promise<void> {
    if (this.state === "closed") return Promise.reject(new Error(`document ${this.id} was closed`));
    return until(ready, (check, fail) => {
      const watcher = { check, fail };
      this.watchers.add(watcher);
      return () => this.watchers.delete(watcher);
    }, options, what);
  }

  private check(): void {
    for (const { check } of [...this.watchers]) check();
  }
}
