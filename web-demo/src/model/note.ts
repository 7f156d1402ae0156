/** A note: one document, shown through a handle that is open as long as the notebook is. */

import type { DocHandle, DocumentId, SavedStatus } from "driftline";
import { fold, headline, snippet } from "./words.ts";

/** What a note's document holds. Title and body are collaborative text; times are milliseconds since the Unix epoch. */
export interface NoteDoc {
  title: string;
  body: string;
  created: number;
  /** When someone last wrote in it, to within {@link EDITED_GRAIN_MS}. */
  edited?: number;
  /** When it was deleted. Deleting only hides a note, so that it can be undone, here and by others. */
  deleted?: number;
}

/** How far the time of the last edit may lag behind, so that writing does not stamp every letter. */
export const EDITED_GRAIN_MS = 20_000;

/** An open note. */
export class Note {
  readonly handle: DocHandle<NoteDoc>;
  #of: object | undefined;
  #headline = "";
  #snippet = "";
  #folded = "";
  #foldedOf: object | undefined;

  constructor(handle: DocHandle<NoteDoc>) {
    this.handle = handle;
  }

  get id(): DocumentId {
    return this.handle.id;
  }

  /** Whether there is something to show, and it is a note: a space may hold documents of other kinds. */
  get isNote(): boolean {
    const doc = this.handle.doc();
    return doc !== undefined && (typeof doc.body === "string" || typeof doc.title === "string");
  }

  get title(): string {
    return asText(this.handle.doc()?.title);
  }

  get body(): string {
    return asText(this.handle.doc()?.body);
  }

  get created(): number {
    return asTime(this.handle.doc()?.created) ?? 0;
  }

  get edited(): number {
    return asTime(this.handle.doc()?.edited) ?? this.created;
  }

  get isDeleted(): boolean {
    return asTime(this.handle.doc()?.deleted) !== undefined;
  }

  get isEmpty(): boolean {
    return this.title.trim() === "" && this.body.trim() === "";
  }

  get saved(): SavedStatus {
    return this.handle.saved;
  }

  /** What it is called in lists. */
  get headline(): string {
    this.#read();
    return this.#headline;
  }

  /** The beginning of what it says. */
  get snippet(): string {
    this.#read();
    return this.#snippet;
  }

  /** Everything that a search looks through, folded. */
  get folded(): string {
    const doc = this.handle.doc();
    if (doc !== this.#foldedOf) {
      this.#foldedOf = doc;
      this.#folded = fold(`${this.title}\n${this.body}`);
    }
    return this.#folded;
  }

  /** Marks a draft as edited now. Runs with each edit, and only now and then has an effect. */
  static stamp(draft: NoteDoc, now = Date.now()): void {
    if (Math.abs(now - (asTime(draft.edited) ?? 0)) > EDITED_GRAIN_MS) draft.edited = now;
  }

  /** Hides the note everywhere. */
  delete(): void {
    this.handle.change((draft) => void (draft.deleted = Date.now()), { message: "Delete" });
  }

  /** Brings a deleted note back. */
  restore(): void {
    this.handle.change((draft) => void delete draft.deleted, { message: "Restore" });
  }

  /** The whole note as a Markdown file. */
  toMarkdown(): string {
    const title = this.title.trim();
    return `${title === "" ? "" : `# ${title}\n\n`}${this.body}${this.body.endsWith("\n") ? "" : "\n"}`;
  }

  #read(): void {
    const doc = this.handle.doc();
    if (doc === this.#of && doc !== undefined) return;
    this.#of = doc;
    const { title, body } = this;
    this.#headline = headline(title, body);
    this.#snippet = snippet(title, body);
  }
}

function asText(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function asTime(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : value instanceof Date ? value.getTime() : undefined;
}
