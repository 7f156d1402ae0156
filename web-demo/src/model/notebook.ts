/** A notebook: a space, a handle on each of its notes, and the name people gave it. */

import type { DocHandle, DocumentId, Repo, Space, Unsubscribe } from "driftline";
import { updateText } from "driftline";
import { Note, type NoteDoc } from "./note.ts";
import { WELCOME_BODY, WELCOME_TITLE } from "./welcome.ts";
import { fold } from "./words.ts";

/** The document that names a notebook. If two people made one each, the older counts, then the lower id. */
interface NotebookDoc {
  notebook: string;
  created: number;
}

/** What a notebook is called until it has a name. */
export const UNNAMED = "Notebook";
const NAME_LENGTH_MAX = 60;

/** An open notebook. Calls back whenever something that shows may have changed. */
export class Notebook {
  readonly repo: Repo;
  readonly space: Space;
  /** What it was opened by: its id, or a name that stands for it everywhere. */
  readonly alias: string;
  readonly #onChange: () => void;
  readonly #notes = new Map<DocumentId, Note>();
  readonly #unsubscribe: Unsubscribe[] = [];
  #isReady = false;

  constructor(repo: Repo, nameOrId: string, onChange: () => void) {
    this.repo = repo;
    this.alias = nameOrId;
    this.space = repo.space(nameOrId);
    this.#onChange = onChange;
    this.#unsubscribe.push(
      this.space.on("documents", (ids) => this.#adopt(ids)),
      this.space.on("sync", onChange),
      this.space.on("access", onChange),
      this.space.on("members", onChange),
    );
    this.#adopt(this.space.documents);
    void this.space.whenReady().then(() => {
      this.#isReady = true;
      onChange();
    });
  }

  get id(): string {
    return this.space.id;
  }

  /** Whether what this device holds has been looked through, as far as it can be read. */
  get isReady(): boolean {
    return this.#isReady && (this.space.access.waitsForKey || [...this.#notes.values()].every((note) => note.handle.state !== "loading"));
  }

  /** The notes there are, the last edited first. */
  get notes(): Note[] {
    return this.#sorted((note) => !note.isDeleted);
  }

  /** Notes that were deleted and can come back. */
  get deletedNotes(): Note[] {
    return this.#sorted((note) => note.isDeleted && !note.isEmpty);
  }

  /** Every open document, notes and others: what the status line speaks for. */
  get handles(): readonly DocHandle<NoteDoc>[] {
    return [...this.#notes.values()].map((note) => note.handle).filter((handle) => handle.isReady);
  }

  /** Documents known by name whose contents no one has brought yet. */
  get awaited(): number {
    return [...this.#notes.values()].filter((note) => note.handle.state === "unavailable").length;
  }

  get name(): string {
    const name = this.#nameHandle()?.doc()?.notebook.trim();
    return name === undefined || name === "" ? UNNAMED : name;
  }

  /** Names the notebook, for everyone in it. */
  rename(name: string): void {
    const wanted = name.trim().slice(0, NAME_LENGTH_MAX);
    if (wanted === "" || wanted === this.name) return;
    const handle = this.#nameHandle();
    if (handle) handle.change((draft) => updateText(draft, ["notebook"], wanted));
    else this.#open(this.space.create<NotebookDoc>({ notebook: wanted, created: Date.now() }) as unknown as DocHandle<NoteDoc>);
  }

  /** The note of this id, also one that is deleted or still on its way. */
  note(id: string | null): Note | undefined {
    return id === null ? undefined : this.#notes.get(id as DocumentId);
  }

  /** A new note, at the head of the list. */
  create(title = "", body = ""): Note {
    const now = Date.now();
    const note = this.#open(this.space.create<NoteDoc>({ title, body, created: now, edited: now }));
    this.#onChange();
    return note;
  }

  /** Puts in the note that shows newcomers around. */
  welcome(): Note {
    return this.create(WELCOME_TITLE, WELCOME_BODY);
  }

  /** The notes that hold every word of `query`, the last edited first. */
  search(query: string): Note[] {
    const words = fold(query).split(/\s+/).filter((word) => word !== "");
    return this.notes.filter((note) => words.every((word) => note.folded.includes(word)));
  }

  /** Lets go of all of it. */
  close(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    for (const note of this.#notes.values()) note.handle.close();
    this.#notes.clear();
    this.space.close();
  }

  #adopt(ids: readonly DocumentId[]): void {
    for (const id of ids) if (!this.#notes.has(id)) this.#open(this.space.find<NoteDoc>(id));
    this.#onChange();
  }

  #open(handle: DocHandle<NoteDoc>): Note {
    const known = this.#notes.get(handle.id);
    if (known) return known;
    const note = new Note(handle);
    this.#notes.set(handle.id, note);
    this.#unsubscribe.push(
      handle.on("change", this.#onChange),
      handle.on("state", this.#onChange),
      handle.on("saved", this.#onChange),
    );
    return note;
  }

  #sorted(keep: (note: Note) => boolean): Note[] {
    return [...this.#notes.values()]
      .filter((note) => note.isNote && keep(note))
      .sort((a, b) => b.edited - a.edited || b.created - a.created || (a.id < b.id ? -1 : 1));
  }

  #nameHandle(): DocHandle<NotebookDoc> | undefined {
    let best: DocHandle<NotebookDoc> | undefined;
    for (const note of this.#notes.values()) {
      const handle = note.handle as unknown as DocHandle<NotebookDoc>;
      const doc = handle.doc();
      if (typeof doc?.notebook !== "string") continue;
      const before = best?.doc()?.created ?? Number.POSITIVE_INFINITY;
      if (doc.created < before || (doc.created === before && best && handle.id < best.id)) best = handle;
    }
    return best;
  }
}
