/**
 * One text of a document in one CodeMirror view, kept equal, in both directions.
 *
 * What is typed goes to the document in the same turn, as splices; what comes from elsewhere arrives as patches and
 * becomes one CodeMirror transaction, marked {@link remote}, which CodeMirror maps carets, selections and the undo
 * history over. The whole text is never set. Since every edit on either side is applied to both in the turn it happens,
 * the two never differ between turns: a position in one is a position in the other.
 */

import { Annotation, ChangeSet, type ChangeSpec, EditorState, type Extension, Text, Transaction } from "@codemirror/state";
import { EditorView, type ViewUpdate } from "@codemirror/view";
import { AccessError, type DocHandle, type Patch, type Path, splice } from "driftline";

/** On transactions that show what the document became by others' doing: they are not edits of this view. */
export const remote = Annotation.define<true>();

/** What is bound to what. */
export interface BindingOptions<T extends object> {
  handle: DocHandle<T>;
  /** The text in the document. */
  path: Path;
  /** Runs in each change that an edit of this view makes, for what goes along with it (a time of editing). */
  along?: (draft: T) => void;
  /** What was typed in the moment in which it turned out that this device may not write: it is taken out of the view, and is the app's to keep. */
  onRefused?: (typed: string) => void;
}

/** The text that a view bound to it must begin with. */
export function boundText<T extends object>({ handle, path }: BindingOptions<T>): Text {
  return toText(textAt(handle.doc(), path));
}

/** The extension that sends a view's edits to the document. */
export function outbound(binding: () => Pick<Binding<object>, "onViewUpdate"> | undefined): Extension {
  return [
    // Only a line feed may separate lines: were a carriage return taken for one, positions would differ from the document's.
    EditorState.lineSeparator.of("\n"),
    EditorView.clipboardInputFilter.of((text) => text.replace(/\r\n?/g, "\n")),
    EditorView.updateListener.of((update) => binding()?.onViewUpdate(update)),
  ];
}

/** A view and a text, bound until closed. */
export class Binding<T extends object> {
  readonly #view: EditorView;
  readonly #options: BindingOptions<T>;
  readonly #unsubscribe: () => void;
  #isSending = false;

  /** Binds `view`, which shows {@link boundText} and has {@link outbound} among its extensions. */
  constructor(view: EditorView, options: BindingOptions<T>) {
    this.#view = view;
    this.#options = options;
    this.#unsubscribe = options.handle.on("change", ({ patches }) => {
      if (!this.#isSending) this.#receive(patches);
    });
    this.#repair();
  }

  close(): void {
    this.#unsubscribe();
  }

  /** Sends what a transaction of the view's changed. */
  onViewUpdate(update: ViewUpdate): void {
    const own = update.transactions.filter((transaction) => transaction.docChanged && transaction.annotation(remote) === undefined);
    if (own.length === 0) return;
    const { handle, path, along } = this.#options;
    this.#isSending = true;
    try {
      handle.change((draft) => {
        for (const transaction of own) {
          // Ranges come in order, and `fromB` is where each stands once those before it are done.
          transaction.changes.iterChanges((fromA, toA, fromB, _toB, inserted) => {
            splice(draft, path, fromB, toA - fromA, inserted.sliceString(0, undefined, "\n"));
          });
        }
        along?.(draft);
      });
    } catch (error) {
      if (!(error instanceof AccessError)) throw error;
      this.#isSending = false;
      this.#repair();
      let typed = "";
      for (const transaction of own) transaction.changes.iterChanges((_fromA, _toA, _fromB, _toB, inserted) => (typed += inserted.sliceString(0, undefined, "\n")));
      if (typed !== "") this.#options.onRefused?.(typed);
    } finally {
      this.#isSending = false;
    }
    this.#repairIfLengthsDiffer();
  }

  #receive(patches: readonly Patch[]): void {
    const { path } = this.#options;
    if (patches.length === 0 || patches.some((patch) => patch.action !== "splice" && isPrefix(patch.path, path))) {
      // The text was replaced by a new one, not edited: what it reads in the end is all that counts.
      this.#repair();
      return;
    }
    let length = this.#view.state.doc.length;
    let changes: ChangeSet | null = null;
    const then = (change: ChangeSpec): void => {
      const next = ChangeSet.of(change, length, "\n");
      changes = changes === null ? next : changes.compose(next);
      length = next.newLength;
    };
    for (const patch of patches) {
      const index = indexInText(patch.path, path);
      if (index === null) continue;
      if (patch.action === "splice") then({ from: index, insert: toText(patch.insert) });
      else if (patch.action === "delete") then({ from: index, to: index + patch.length });
    }
    if (changes !== null) this.#show(changes);
    this.#repairIfLengthsDiffer();
  }

  #show(changes: ChangeSet | ChangeSpec): void {
    this.#view.dispatch({ changes, annotations: [remote.of(true), Transaction.addToHistory.of(false), Transaction.remote.of(true)] });
  }

  /** A cheap look at each turn for what must never be: the view and the document having parted. */
  #repairIfLengthsDiffer(): void {
    if (this.#view.state.doc.length !== textAt(this.#options.handle.doc(), this.#options.path).length) {
      console.error("the editor and the document differ; the editor is brought in line");
      this.#repair();
    }
  }

  /** Makes the view read as the document does, by the one stretch in which they differ. */
  #repair(): void {
    const shown = this.#view.state.doc.sliceString(0, undefined, "\n");
    const wanted = textAt(this.#options.handle.doc(), this.#options.path);
    if (shown === wanted) return;
    const shorter = Math.min(shown.length, wanted.length);
    let start = 0;
    while (start < shorter && shown.charCodeAt(start) === wanted.charCodeAt(start)) start += 1;
    let end = 0;
    while (end < shorter - start && shown.charCodeAt(shown.length - 1 - end) === wanted.charCodeAt(wanted.length - 1 - end)) end += 1;
    this.#show({ from: start, to: shown.length - end, insert: toText(wanted.slice(start, wanted.length - end)) });
  }
}

/** The index a patch speaks of when its path is `path` and one step more into the text; nothing for other paths. */
function indexInText(patched: Path, path: Path): number | null {
  const index = patched[path.length];
  return patched.length === path.length + 1 && typeof index === "number" && isPrefix(path, patched) ? index : null;
}

function isPrefix(path: Path, of: Path): boolean {
  return path.length <= of.length && path.every((step, at) => step === of[at]);
}

function textAt(doc: unknown, path: Path): string {
  let value: unknown = doc;
  for (const step of path) value = value !== null && typeof value === "object" ? (value as Record<string | number, unknown>)[step] : undefined;
  return typeof value === "string" ? value : "";
}

function toText(text: string): Text {
  return Text.of(text.split("\n"));
}
