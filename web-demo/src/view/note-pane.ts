/** The open note: what can be done with it, who is in it, and the two editors; or an invitation when none is open. */

import type { Note } from "../model/note.ts";
import type { Person } from "../model/people.ts";
import { ago, counted } from "../model/words.ts";
import { NoteEditor, type NoteEditorEvents } from "../editor/note-editor.ts";
import { attribute, h, text } from "./dom.ts";
import { icon } from "./icons.ts";
import { opens } from "./popover.ts";
import { reading } from "./reading.ts";
import { type Writers, WritersPanel } from "./writers-panel.ts";

/** What the pane asks for. */
export interface NotePaneEvents extends NoteEditorEvents {
  onBack(): void;
  onCreate(): void;
  onDelete(): void;
  onRestore(): void;
  /** Who wrote a note. */
  writers(note: Note): Promise<Writers>;
}

/** The pane. */
export class NotePane {
  readonly element: HTMLElement;
  readonly #events: NotePaneEvents;
  readonly #article = h("article", { class: "note-article" });
  readonly #meta = h("p", { class: "note-meta" });
  readonly #title = h("div", { class: "title-editor", role: "heading", "aria-level": "2" });
  readonly #body = h("div", { class: "body-editor", "data-testid": "body" });
  readonly #reading = h("div", { class: "reading", tabindex: "0", "aria-label": "Note, as a page", role: "region" });
  readonly #deleted: HTMLElement;
  readonly #empty: HTMLElement;
  readonly #emptyWords = { title: h("h2", {}), text: h("p", {}), button: h("button", { class: "primary", type: "button" }) };
  readonly #readButton: HTMLButtonElement;
  readonly #more: HTMLElement;
  #note: Note | null = null;
  #editor: NoteEditor | null = null;
  #isReading = false;
  /** The text that the page was made of. */
  #pageOf: string | null = null;

  readonly #writers: WritersPanel;
  readonly #delete: HTMLElement;
  readonly #restore: HTMLElement;
  #mayWrite = true;

  constructor(events: NotePaneEvents, peopleBar: HTMLElement, share: { button: HTMLElement; panel: HTMLElement }, onCopied: (what: string) => void) {
    this.#events = events;
    this.#writers = new WritersPanel(() => (this.#note === null ? Promise.resolve([]) : events.writers(this.#note)));
    this.#readButton = h("button", { class: "bare", type: "button", "aria-pressed": "false", "data-testid": "read", title: "Read as a page", "aria-label": "Read as a page", onclick: () => this.toggleReading() }, icon("read"));
    const moreButton = h("button", { class: "bare", type: "button", "aria-label": "More about this note", title: "More", "data-testid": "more" }, icon("more"));
    this.#delete = h("button", { type: "button", class: "danger", "data-testid": "delete", onclick: () => (menu.hidePopover(), events.onDelete()) }, icon("trash"), "Delete note");
    this.#restore = h("button", { class: "quiet small", type: "button", "data-testid": "restore", onclick: () => events.onRestore() }, "Restore it");
    const menu = h(
      "div",
      { class: "menu-panel" },
      h("button", { type: "button", onclick: () => (menu.hidePopover(), this.#copy(onCopied)) }, icon("copy"), "Copy as Markdown"),
      h("button", { type: "button", onclick: () => (menu.hidePopover(), this.#download()) }, icon("download"), "Download as Markdown"),
      this.#delete,
    );
    opens(moreButton, menu, "More about this note");
    this.#more = h("span", { class: "more" }, this.#readButton, moreButton, menu);
    this.#deleted = h(
      "div",
      { class: "deleted-bar" },
      h("span", {}, "This note was deleted."),
      this.#restore,
    );
    this.#emptyWords.button.addEventListener("click", () => events.onCreate());
    attribute(this.#emptyWords.button, "data-testid", "create-first");
    this.#empty = h("div", { class: "empty" }, drift(), this.#emptyWords.title, this.#emptyWords.text, this.#emptyWords.button);
    const facts = h("div", { class: "note-facts" }, this.#meta, this.#writers.button, this.#writers.panel);
    this.#article.append(this.#deleted, this.#title, facts, this.#body, this.#reading);
    const back = h("button", { class: "bare back", type: "button", "aria-label": "All notes", "data-testid": "back", onclick: () => events.onBack() }, icon("back"), h("span", {}, "Notes"));
    this.element = h(
      "section",
      { class: "note-pane", id: "note", "aria-label": "Note" },
      h("div", { class: "pane-head" }, back, h("span", { class: "spacer" }), peopleBar, share.button, share.panel, this.#more),
      h("div", { class: "pane-scroll" }, this.#article, this.#empty),
    );
    this.#show();
  }

  get editor(): NoteEditor | null {
    return this.#editor;
  }

  /** Shows a note, or none. */
  open(note: Note | null): void {
    if (note === this.#note && (note === null || this.#editor !== null)) return;
    this.#editor?.close();
    this.#editor = null;
    this.#note = note;
    if (note?.handle.isReady) {
      this.#editor = new NoteEditor(note, this.#title, this.#body, !this.#mayWrite, this.#events);
      this.element.querySelector(".pane-scroll")?.scrollTo(0, 0);
    }
    this.#show();
  }

  /** Lets one write, or only read. */
  allow(mayWrite: boolean): void {
    this.#mayWrite = mayWrite;
    this.#editor?.setReadOnly(!mayWrite);
    this.#delete.hidden = this.#restore.hidden = !mayWrite;
  }

  /** Shows what may have changed. */
  update(people: readonly Person[], all: readonly Person[], invitation: { title: string; text: string; button: string | null }): void {
    const note = this.#note;
    if (note && !this.#editor && note.handle.isReady) this.open(note);
    this.#deleted.hidden = note?.isDeleted !== true;
    if (note && this.#editor) {
      const words = note.body.trim() === "" ? 0 : note.body.trim().split(/\s+/).length;
      const parts = [`Edited ${ago(note.edited, Date.now())}`, counted(words, "word"), people.length > 0 ? `${counted(people.length + 1, "person", "people")} here` : null];
      text(this.#meta, parts.filter((part) => part !== null).join("  ·  "));
      this.#editor.showCarets(all);
      this.#writers.update();
      this.#read();
    }
    text(this.#emptyWords.title, invitation.title);
    text(this.#emptyWords.text, invitation.text);
    this.#emptyWords.button.hidden = invitation.button === null;
    text(this.#emptyWords.button, invitation.button ?? "");
  }

  /** Puts the caret where writing goes on: into the title of a note without one, else into the body. */
  focus(): void {
    if (this.#isReading) this.#reading.focus();
    else if (this.#note?.isEmpty) this.#editor?.title.focus();
    else this.#editor?.body.focus();
  }

  /** Goes to the title of a note just made. */
  startWriting(): void {
    if (this.#isReading) this.toggleReading();
    this.#editor?.title.focus();
  }

  /** Shows the note as a page to read, or to write again. */
  toggleReading(): void {
    this.#isReading = !this.#isReading;
    attribute(this.#readButton, "aria-pressed", this.#isReading ? "true" : "false");
    const label = this.#isReading ? "Write again" : "Read as a page";
    attribute(this.#readButton, "aria-label", label);
    this.#readButton.title = label;
    this.#readButton.replaceChildren(icon(this.#isReading ? "pen" : "read"));
    this.#show();
    if (this.#isReading) this.#reading.scrollTop = 0;
  }

  #show(): void {
    const isOpen = this.#editor !== null;
    this.#article.hidden = !isOpen;
    this.#empty.hidden = isOpen;
    this.#more.hidden = !isOpen;
    this.#body.hidden = this.#isReading;
    this.#reading.hidden = !this.#isReading;
    this.#read();
  }

  /** Brings the page up to date; one that reads as before is left alone, with whatever is selected in it. */
  #read(): void {
    const body = this.#note?.body ?? "";
    if (!this.#isReading || body === this.#pageOf) return;
    this.#pageOf = body;
    this.#reading.replaceChildren(reading(body));
  }

  #copy(onCopied: (what: string) => void): void {
    if (this.#note) void navigator.clipboard?.writeText(this.#note.toMarkdown()).then(() => onCopied("Note"));
  }

  #download(): void {
    if (!this.#note) return;
    const address = URL.createObjectURL(new Blob([this.#note.toMarkdown()], { type: "text/markdown" }));
    const name = this.#note.headline.replace(/[^\p{L}\p{N} ._-]+/gu, "").trim().slice(0, 60) || "note";
    h("a", { href: address, download: `${name}.md` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  }
}

/** The drawing of the empty state: two wakes that become one line. */
function drift(): SVGSVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 220 64");
  svg.setAttribute("class", "drift");
  svg.setAttribute("aria-hidden", "true");
  for (const path of ["M4 14c18-10 34 10 52 4s30-4 46 6 26 8 40 8h74", "M4 50c18 10 34-8 52-4s30 4 46-6 26-8 40-8h74"]) {
    const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
    line.setAttribute("d", path);
    svg.append(line);
  }
  return svg;
}
