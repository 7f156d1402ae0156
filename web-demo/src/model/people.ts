/** Who is here: presence, read with care, because it comes from strangers. */

import type { Cursor, PresenceState, Repo, Space, Unsubscribe } from "driftline";
import { colourOf, nameOf, type ColourName, type Identity } from "./identity.ts";

/** The parts of a note that a caret can be in. */
export type Field = "title" | "body";

/** Where someone's caret is, in terms that survive what others write meanwhile. */
export interface Caret {
  field: Field;
  anchor: Cursor;
  head: Cursor;
}

/** What this app shows of a person through presence. */
interface Shown {
  name: string;
  colour: ColourName;
  note: string | null;
  caret: Caret | null;
}

/** Someone, in one window. */
export interface Person extends Shown {
  /** Unique among everyone here. */
  key: string;
  peerId: string;
  /** Whether it is this browser's own, in another tab. */
  isSelf: boolean;
}

/** Cursors longer than this are not ours. */
const CURSOR_LENGTH_MAX = 200;

/** The people of one notebook. */
export class People {
  readonly #repo: Repo;
  readonly #space: Space;
  readonly #unsubscribe: Unsubscribe;
  #people: Person[];
  #shown: Shown;

  constructor(repo: Repo, space: Space, identity: Identity, onChange: () => void) {
    this.#repo = repo;
    this.#space = space;
    this.#shown = { ...identity, note: null, caret: null };
    this.#people = this.#read(space.presence.states);
    this.#unsubscribe = space.presence.on("change", (states) => {
      this.#people = this.#read(states);
      onChange();
    });
    this.#publish();
  }

  /** Every other window, in an order that does not jump about. */
  get windows(): readonly Person[] {
    return this.#people;
  }

  /** Every other person once, whichever windows they have open. */
  get others(): Person[] {
    const seen = new Map<string, Person>();
    for (const person of this.#people) {
      const known = seen.get(person.peerId);
      if (!person.isSelf && (!known || (known.note === null && person.note !== null))) seen.set(person.peerId, person);
    }
    return [...seen.values()];
  }

  /** The others who are in this note. */
  inNote(note: string): Person[] {
    const seen = new Set<string>();
    return this.#people.filter((person) => person.note === note && !person.isSelf && !seen.has(person.peerId) && seen.add(person.peerId));
  }

  /** Shows a new name and colour to the others. */
  introduce(identity: Identity): void {
    this.#show({ ...this.#shown, ...identity });
  }

  /** Shows which note this window is on. */
  visit(note: string | null): void {
    if (note !== this.#shown.note) this.#show({ ...this.#shown, note, caret: null });
  }

  /** Shows where the caret is in the note visited. */
  point(caret: Caret | null): void {
    this.#show({ ...this.#shown, caret });
  }

  /** Goes away, at once. */
  close(): void {
    this.#unsubscribe();
    this.#space.presence.clear();
  }

  #show(shown: Shown): void {
    this.#shown = shown;
    this.#publish();
  }

  #publish(): void {
    this.#space.presence.set(this.#shown);
  }

  #read(states: readonly PresenceState[]): Person[] {
    return states
      .map((presence) => ({
        ...readShown(presence.state),
        key: `${presence.peerId}/${presence.instance}`,
        peerId: presence.peerId,
        isSelf: presence.peerId === this.#repo.peerId,
      }))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
  }
}

function readShown(state: unknown): Shown {
  const shown: Record<string, unknown> = state !== null && typeof state === "object" ? { ...state } : {};
  return {
    name: nameOf(shown["name"]),
    colour: colourOf(shown["colour"]),
    note: typeof shown["note"] === "string" ? shown["note"] : null,
    caret: readCaret(shown["caret"]),
  };
}

function readCaret(value: unknown): Caret | null {
  if (value === null || typeof value !== "object") return null;
  const { field, anchor, head } = value as Record<string, unknown>;
  const isCursor = (cursor: unknown): cursor is Cursor => typeof cursor === "string" && cursor.length <= CURSOR_LENGTH_MAX;
  return (field === "title" || field === "body") && isCursor(anchor) && isCursor(head) ? { field, anchor, head } : null;
}
