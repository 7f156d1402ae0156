/** The notes of the notebook: a list to walk with the arrow keys, a search over it, and what to say when it is empty. */

import type { Note } from "../model/note.ts";
import type { Person } from "../model/people.ts";
import { ago, fold, plain } from "../model/words.ts";
import { arrange, attribute, h, text } from "./dom.ts";
import { face } from "./faces.ts";
import { icon } from "./icons.ts";

/** What the list asks for. */
export interface NoteListEvents {
  /** Shows a note; `isEntered` when the reader wants to write in it at once. */
  onOpen(note: string, isEntered: boolean): void;
  onCreate(): void;
  onDelete(note: string): void;
  onSearch(query: string): void;
}

interface Row {
  element: HTMLLIElement;
  button: HTMLButtonElement;
  headline: HTMLElement;
  snippet: HTMLElement;
  time: HTMLTimeElement;
  faces: HTMLElement;
}

/** More notes than this are found by searching. */
const ROWS_MAX = 1_000;

/** The list and the search field. */
export class NoteList {
  readonly element: HTMLElement;
  readonly search: HTMLInputElement;
  readonly #list = h("ul", { class: "notes", "data-testid": "notes" });
  readonly #empty = h("p", { class: "notes-empty" });
  readonly #count = h("p", { class: "visually-hidden", role: "status" });
  readonly #rows = new Map<string, Row>();
  readonly #events: NoteListEvents;
  #order: string[] = [];
  #current: string | null = null;

  constructor(events: NoteListEvents) {
    this.#events = events;
    this.search = h("input", {
      type: "search",
      placeholder: "Search notes",
      "aria-label": "Search notes",
      autocomplete: "off",
      spellcheck: "false",
      "data-testid": "search",
      oninput: () => events.onSearch(this.search.value),
      onkeydown: (event: KeyboardEvent) => this.#onSearchKey(event),
    });
    this.#list.addEventListener("keydown", (event) => this.#onListKey(event));
    this.element = h(
      "nav",
      { class: "note-list", "aria-label": "Notes" },
      h("div", { class: "search" }, icon("search"), this.search),
      this.#count,
      this.#list,
      this.#empty,
    );
  }

  /** Shows these notes, the open one marked. */
  update(notes: readonly Note[], current: string | null, query: string, peopleIn: (note: string) => readonly Person[], isReady: boolean): void {
    const now = Date.now();
    const shown = notes.slice(0, ROWS_MAX);
    this.#order = shown.map((note) => note.id);
    this.#current = current;
    for (const id of this.#rows.keys()) if (!this.#order.includes(id)) this.#rows.delete(id);
    const stop = current !== null && this.#order.includes(current) ? current : this.#order[0];
    for (const note of shown) {
      const row = this.#rows.get(note.id) ?? this.#makeRow(note.id);
      highlight(row.headline, note.headline, query);
      highlight(row.snippet, query === "" ? note.snippet : excerpt(note, query), query);
      text(row.time, ago(note.edited, now));
      attribute(row.time, "datetime", new Date(note.edited).toISOString());
      const people = peopleIn(note.id);
      const key = people.map((person) => `${person.key}${person.name}${person.colour}`).join();
      if (row.faces.dataset["key"] !== key) {
        row.faces.dataset["key"] = key;
        row.faces.replaceChildren(...people.slice(0, 3).map((person) => face(person)));
        attribute(row.faces, "aria-label", people.length > 0 ? `Here: ${people.map((person) => person.name).join(", ")}` : null);
      }
      attribute(row.button, "aria-current", note.id === current ? "true" : null);
      attribute(row.button, "tabindex", note.id === stop ? "0" : "-1");
    }
    arrange(this.#list, this.#order.map((id) => this.#rows.get(id)!.element));
    this.#empty.hidden = shown.length > 0 || !isReady;
    text(this.#empty, query === "" ? "No notes yet." : `Nothing here says “${query.trim()}”.`);
    if (query !== "") text(this.#count, shown.length === 1 ? "1 note found" : `${shown.length} notes found`);
    else text(this.#count, "");
  }

  /** Puts the focus on the open note's row, or on the first. */
  focus(): void {
    (this.#rows.get(this.#current ?? "") ?? this.#rows.get(this.#order[0] ?? ""))?.button.focus();
  }

  #makeRow(id: string): Row {
    const headline = h("span", { class: "note-headline" });
    const snippet = h("span", { class: "note-snippet" });
    const time = h("time", { class: "note-time" });
    const faces = h("span", { class: "note-faces", role: "group" });
    const button = h(
      "button",
      { type: "button", class: "note", "data-note": id, "data-testid": "note", onclick: () => this.#events.onOpen(id, false) },
      headline,
      faces,
      snippet,
      time,
    );
    const row = { element: h("li", {}, button), button, headline, snippet, time, faces };
    this.#rows.set(id, row);
    return row;
  }

  #onSearchKey(event: KeyboardEvent): void {
    if (event.key === "ArrowDown" || event.key === "Enter") {
      event.preventDefault();
      this.#go(this.#order[0]);
    } else if (event.key === "Escape" && this.search.value !== "") {
      event.preventDefault();
      this.search.value = "";
      this.#events.onSearch("");
    }
  }

  #onListKey(event: KeyboardEvent): void {
    const at = this.#order.indexOf((event.target as HTMLElement).dataset["note"] ?? "");
    if (at < 0) return;
    if (event.metaKey && event.key === "Backspace") {
      event.preventDefault();
      this.#events.onDelete(this.#order[at]!);
    }
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const targets: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: this.#order.length - 1 };
    const target = targets[event.key];
    if (target !== undefined) {
      event.preventDefault();
      if (target < 0) this.search.focus();
      else this.#go(this.#order[target]);
    } else if (event.key === "Enter" || event.key === "ArrowRight") {
      event.preventDefault();
      this.#events.onOpen(this.#order[at]!, true);
    } else if (event.key === "Delete") {
      event.preventDefault();
      this.#events.onDelete(this.#order[at]!);
    }
  }

  #go(id: string | undefined): void {
    if (id === undefined) return;
    this.#events.onOpen(id, false);
    this.#rows.get(id)?.button.focus();
  }
}

/** The stretch of a note around the first word found. */
function excerpt(note: Note, query: string): string {
  const first = fold(query).split(/\s+/).find((word) => word !== "") ?? "";
  const body = note.body.split("\n").map(plain).join(" ");
  const at = fold(body).indexOf(first);
  if (at < 0) return note.snippet;
  return `${at > 30 ? "…" : ""}${body.slice(Math.max(0, at - 30), at + 110)}`;
}

/** Sets an element's text with the words of `query` marked. */
function highlight(element: HTMLElement, words: string, query: string): void {
  const key = `${query}\n${words}`;
  if (element.dataset["shown"] === key) return;
  element.dataset["shown"] = key;
  const wanted = query.split(/\s+/).filter((word) => word !== "").map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  if (wanted.length === 0) {
    element.textContent = words;
    return;
  }
  element.replaceChildren(
    ...words.split(new RegExp(`(${wanted.join("|")})`, "iu")).map((part, at) => (at % 2 === 1 ? h("mark", {}, part) : document.createTextNode(part))),
  );
}
