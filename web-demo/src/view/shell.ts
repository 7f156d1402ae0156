/** The window: its parts, where they stand, and the keys that work everywhere in it. */

import type { AccessNotice } from "../model/access.ts";
import type { Identity } from "../model/identity.ts";
import type { Note } from "../model/note.ts";
import type { Field } from "../model/people.ts";
import type { Status } from "../model/status.ts";
import { AccessBar } from "./access-bar.ts";
import { Announcer } from "./announcer.ts";
import { BackupSheet, type BackupSheetEvents } from "./backup-sheet.ts";
import { DevicesSheet, type DevicesSheetEvents } from "./devices-sheet.ts";
import { h, text } from "./dom.ts";
import { HelpSheet } from "./help-sheet.ts";
import { icon } from "./icons.ts";
import { NoteList } from "./note-list.ts";
import { NotePane } from "./note-pane.ts";
import { NotebookMenu, type NotebookMenuContents } from "./notebook-menu.ts";
import { PeopleBar } from "./people-bar.ts";
import { SharePanel, type SharePanelEvents } from "./share-panel.ts";
import { ThemeSwitch } from "./theme.ts";
import { Toast } from "./toast.ts";
import { Waterline } from "./waterline.ts";
import type { Writers } from "./writers-panel.ts";

/** Everything the window asks for, and asks. */
export interface ShellEvents {
  onOpen(note: string, isEntered: boolean): void;
  onCreate(): void;
  /** What the empty window invites to. */
  onInvited(): void;
  /** The note named, or the open one. */
  onDelete(note: string | null): void;
  onRestore(note: string | null): void;
  onSearch(query: string): void;
  onBack(): void;
  onLeave(): void;
  onCaret(field: Field | null, anchor: number, head: number): void;
  onOnline(isOnline: boolean): void;
  onIdentity(identity: Identity): void;
  onRename(name: string): void;
  onNew(): void;
  onJoin(invitation: string): void;
  onForget(notebook: string): void;
  onStatus(status: Status): void;
  /** This was typed, and could not be put into the note. */
  onRefused(typed: string): void;
  writers(note: Note): Promise<Writers>;
  share: Omit<SharePanelEvents, "onCopied">;
  backup: Omit<BackupSheetEvents, "onCopied">;
  devices: Omit<DevicesSheetEvents, "onCopied">;
  menu(): NotebookMenuContents;
}

/** The window. */
export class Shell {
  readonly element: HTMLElement;
  readonly list: NoteList;
  readonly pane: NotePane;
  readonly peopleBar: PeopleBar;
  readonly menu: NotebookMenu;
  readonly waterline: Waterline;
  readonly share: SharePanel;
  readonly access = new AccessBar();
  readonly backup: BackupSheet;
  readonly devices: DevicesSheet;
  readonly toast = new Toast();
  readonly announcer = new Announcer();
  readonly #help = new HelpSheet();
  readonly #heading = h("h1", { class: "visually-hidden" });
  readonly #create: HTMLElement;
  readonly #events: ShellEvents;

  constructor(storage: Storage | null, identity: Identity, events: ShellEvents) {
    this.#events = events;
    const onCopied = (what: string): void => this.toast.show(`${what} copied.`);
    this.backup = new BackupSheet({ ...events.backup, onCopied });
    this.devices = new DevicesSheet({ ...events.devices, onCopied });
    this.share = new SharePanel({ ...events.share, onCopied });
    const theme = new ThemeSwitch(storage);
    theme.element.addEventListener("click", () => this.announcer.say(theme.element.title));
    this.peopleBar = new PeopleBar(identity, events.onIdentity);
    this.menu = new NotebookMenu(events.menu, { onRename: events.onRename, onNew: events.onNew, onJoin: events.onJoin, onForget: events.onForget, onRestore: events.onRestore, onBackUp: () => this.backup.backUp(), onComeBack: () => this.backup.restore(), onDevices: () => void this.devices.open() });
    this.list = new NoteList({ onOpen: events.onOpen, onCreate: events.onCreate, onDelete: events.onDelete, onSearch: events.onSearch });
    this.pane = new NotePane(
      {
        onBack: events.onBack,
        onCreate: events.onInvited,
        onDelete: () => events.onDelete(null),
        onRestore: () => events.onRestore(null),
        onCaret: events.onCaret,
        onLeave: events.onLeave,
        onRefused: events.onRefused,
        writers: events.writers,
      },
      this.peopleBar.element,
      this.share,
      onCopied,
    );
    this.waterline = new Waterline(events.onOnline, events.onStatus, offlineFootnote);
    this.waterline.add(
      h("button", { class: "bare keyboard-help", type: "button", "aria-label": "Keyboard shortcuts", title: "Keyboard shortcuts (?)", "data-testid": "open-help", onclick: () => this.#help.open() }, icon("keyboard")),
      theme.element,
    );
    this.#create = h("button", { class: "primary create", type: "button", "data-testid": "create", title: "New note", onclick: () => events.onCreate() }, icon("plus"), h("span", { class: "label" }, "New note"));
    const side = h("div", { class: "side" }, h("header", { class: "side-head" }, this.#heading, this.menu.element, this.#create), this.list.element);
    const skip = h("a", { class: "skip", href: "#note", onclick: (event: Event) => (event.preventDefault(), this.pane.focus()) }, "Skip to the note");
    this.element = h("div", { class: "shell" }, skip, this.access.element, h("main", { class: "screens" }, side, this.pane.element), this.waterline.element, this.toast.element, this.announcer.element, this.#help.element, this.backup.element, this.devices.element);
    addEventListener("keydown", (event) => this.#onKey(event));
  }

  /** Names the notebook that the window shows. */
  name(name: string): void {
    this.menu.update(name);
    text(this.#heading, name);
  }

  /** Shows what one may do here; what one may not is not offered. */
  allow(notice: AccessNotice | null, mayWrite: boolean): void {
    if (this.access.update(notice) && notice !== null) this.announcer.say(`${notice.headline}. ${notice.words}`);
    this.#create.hidden = !mayWrite;
    this.pane.allow(mayWrite);
    this.share.update();
  }

  #onKey(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.isComposing) return;
    const isMod = event.ctrlKey || event.metaKey;
    const isTyping = event.target instanceof Element && event.target.closest("input, textarea, [contenteditable=true]") !== null;
    const run = (action: () => void): void => {
      event.preventDefault();
      action();
    };
    // AltGr also reports Ctrl and Alt, and is how many keyboards write letters.
    if (isMod && event.altKey && !event.getModifierState("AltGraph")) {
      if (event.code === "KeyN") run(() => this.#events.onCreate());
      else if (event.code === "KeyO") run(() => this.waterline.toggle());
      else if (event.code === "KeyR") run(() => this.pane.toggleReading());
    } else if (isMod && !event.shiftKey && event.key.toLowerCase() === "k") {
      run(() => {
        this.list.search.focus();
        this.list.search.select();
      });
    } else if (event.key === "F6") {
      run(() => this.#nextPart(event.shiftKey ? -1 : 1));
    } else if (!isTyping && event.key === "?") {
      run(() => this.#help.open());
    } else if (!isTyping && isMod && event.key.toLowerCase() === "z" && !this.toast.element.hidden) {
      if (this.toast.run()) event.preventDefault();
    }
  }

  /** Moves the focus to the next of list, note and status. */
  #nextPart(step: number): void {
    const parts = [this.list.element, this.pane.element, this.waterline.element];
    const at = parts.findIndex((part) => part.contains(document.activeElement));
    const next = (Math.max(at, step > 0 ? -1 : 0) + step + parts.length) % parts.length;
    if (next === 0) this.list.focus();
    else if (next === 1) this.pane.focus();
    else this.waterline.focus();
  }
}

/** What the status panel adds when the browser will not keep the app itself. */
function offlineFootnote(): string | null {
  if (!isSecureContext) return "This page was opened over plain http, so the browser does not keep the app for visits without a network. Over https or on localhost it does.";
  return null;
}
