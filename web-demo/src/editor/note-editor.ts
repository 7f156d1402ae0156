/** The two editors of a note: its title, which is one line, and its body, in Markdown. */

import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { Compartment, EditorState, type Extension, Prec } from "@codemirror/state";
import { EditorView, drawSelection, keymap, placeholder } from "@codemirror/view";
import type { Field, Person } from "../model/people.ts";
import { Note, type NoteDoc } from "../model/note.ts";
import { Binding, type BindingOptions, boundText, outbound, remote } from "./binding.ts";
import { CaretTracker, type CaretOwner, remoteCarets } from "./carets.ts";
import { markdownWriting } from "./markdown.ts";

/** What the editors tell. */
export interface NoteEditorEvents {
  /** The caret is here now; nothing when it is in neither. */
  onCaret(field: Field | null, anchor: number, head: number): void;
  /** Escape was pressed where it means nothing to the editor: the reader wants out. */
  onLeave(): void;
  /** This was typed, and could not be put into the note. */
  onRefused(typed: string): void;
}

/** A note being edited. */
export class NoteEditor {
  readonly title: EditorView;
  readonly body: EditorView;
  readonly #closers: (() => void)[] = [];
  readonly #trackers: Record<Field, CaretTracker<NoteDoc>>;
  readonly #writing = new Compartment();
  #isReadOnly: boolean;

  constructor(note: Note, titleHost: HTMLElement, bodyHost: HTMLElement, isReadOnly: boolean, events: NoteEditorEvents) {
    this.#isReadOnly = isReadOnly;
    const leave = keymap.of([{ key: "Escape", run: () => (events.onLeave(), true) }]);
    this.title = this.#view(note, "title", titleHost, events, [
      oneLine,
      placeholder("Title"),
      EditorView.contentAttributes.of({ "aria-label": "Title", "aria-multiline": "false", enterkeyhint: "next" }),
      Prec.high(
        keymap.of([
          { key: "Enter", run: () => this.#toBody() },
          { key: "ArrowDown", run: () => this.#toBody() },
        ]),
      ),
      leave,
    ]);
    this.body = this.#view(note, "body", bodyHost, events, [
      markdownWriting(),
      placeholder("Write something…"),
      EditorView.contentAttributes.of({ "aria-label": "Note", spellcheck: "true", autocapitalize: "sentences" }),
      Prec.high(keymap.of([{ key: "ArrowUp", run: (view) => this.#toTitle(view) }])),
      leave,
    ]);
    this.#trackers = { title: this.#tracker(note, "title"), body: this.#tracker(note, "body") };
  }

  /** Shows these people's carets. */
  showCarets(people: readonly Person[]): void {
    const owners: Record<Field, CaretOwner[]> = { title: [], body: [] };
    for (const { key, name, colour, caret, isSelf } of people) {
      if (caret) owners[caret.field].push({ key, name: isSelf ? "You, elsewhere" : name, colour, anchor: caret.anchor, head: caret.head });
    }
    this.#trackers.title.set(owners.title);
    this.#trackers.body.set(owners.body);
  }

  /** Lets one write, or only read. */
  setReadOnly(isReadOnly: boolean): void {
    if (isReadOnly === this.#isReadOnly) return;
    this.#isReadOnly = isReadOnly;
    for (const view of [this.title, this.body]) view.dispatch({ effects: this.#writing.reconfigure(isReadOnly ? READING : []) });
  }

  close(): void {
    for (const close of this.#closers.splice(0)) close();
    this.title.destroy();
    this.body.destroy();
  }

  #view(note: Note, field: Field, host: HTMLElement, events: NoteEditorEvents, extensions: Extension): EditorView {
    const options: BindingOptions<NoteDoc> = { handle: note.handle, path: [field], along: (draft) => Note.stamp(draft), onRefused: events.onRefused };
    let binding: Binding<NoteDoc> | undefined;
    const view = new EditorView({
      parent: host,
      state: EditorState.create({
        doc: boundText(options),
        extensions: [
          extensions,
          this.#writing.of(this.#isReadOnly ? READING : []),
          outbound(() => binding),
          history(),
          drawSelection({ cursorBlinkRate: 1_100 }),
          EditorView.lineWrapping,
          remoteCarets(),
          keymap.of([...defaultKeymap, ...historyKeymap]),
          EditorView.updateListener.of((update) => {
            if (!update.selectionSet && !update.docChanged && !update.focusChanged) return;
            // What others write moves this caret too, but its cursor already moves by itself.
            if (update.docChanged && update.transactions.every((transaction) => transaction.annotation(remote))) return;
            const { anchor, head } = update.state.selection.main;
            if (update.view.hasFocus) events.onCaret(field, anchor, head);
            else if (update.focusChanged) events.onCaret(null, 0, 0);
          }),
        ],
      }),
    });
    binding = new Binding(view, options);
    this.#closers.push(() => binding.close());
    return view;
  }

  #tracker(note: Note, field: Field): CaretTracker<NoteDoc> {
    const tracker = new CaretTracker(this[field], note.handle, [field]);
    this.#closers.push(() => tracker.close());
    return tracker;
  }

  #toBody(): boolean {
    this.body.focus();
    return true;
  }

  #toTitle(view: EditorView): boolean {
    const { main } = view.state.selection;
    const top = view.coordsAtPos(0)?.top;
    const here = view.coordsAtPos(main.head)?.top;
    if (!main.empty || top === undefined || here === undefined || here - top > view.defaultLineHeight / 2) return false;
    this.title.focus();
    return true;
  }
}

/** For those who may only read: nothing is taken but what comes from others; the text can be walked through and copied by keyboard, too. */
const READING: Extension = [
  EditorState.readOnly.of(true),
  EditorView.editable.of(false),
  EditorView.contentAttributes.of({ tabindex: "0", "aria-readonly": "true" }),
  EditorState.changeFilter.of((transaction) => transaction.annotation(remote) === true),
];

/** Keeps what is typed or pasted to one line. What others do is shown as it is: a view never refuses the document. */
const oneLine: Extension = [
  EditorView.clipboardInputFilter.of((text) => text.replace(/\s*\n\s*/g, " ")),
  EditorState.transactionFilter.of((transaction) => {
    if (!transaction.docChanged || transaction.annotation(remote) || transaction.newDoc.lines <= transaction.startState.doc.lines) return transaction;
    const changes: { from: number; to: number; insert: string }[] = [];
    transaction.changes.iterChanges((from, to, _fromB, _toB, inserted) => {
      changes.push({ from, to, insert: inserted.sliceString(0, undefined, " ") });
    });
    return [{ changes, scrollIntoView: true, userEvent: "input" }];
  }),
];
