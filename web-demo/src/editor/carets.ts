/**
 * Other people's carets and selections in a view.
 *
 * Presence names places by cursors, which the engine turns into positions when it is asked; between two answers
 * CodeMirror moves what is shown along with the text. A caret stays behind what this person types at it, and moves on
 * with what comes from elsewhere, which is most often its owner writing.
 */

import { type Extension, type Range, StateEffect, StateField } from "@codemirror/state";
import { Decoration, type DecorationSet, EditorView, WidgetType } from "@codemirror/view";
import type { Cursor, DocHandle, Path } from "driftline";
import type { ColourName } from "../model/identity.ts";
import { remote } from "./binding.ts";

/** Someone whose caret is in this text. */
export interface CaretOwner {
  key: string;
  name: string;
  colour: ColourName;
  anchor: Cursor;
  head: Cursor;
}

interface ShownCaret {
  key: string;
  name: string;
  colour: ColourName;
  anchor: number;
  head: number;
  /** Grows each time its owner moves it, so that the name shows again. */
  moved: number;
}

const showCarets = StateEffect.define<readonly ShownCaret[]>();

const carets = StateField.define<readonly ShownCaret[]>({
  create: () => [],
  update(shown, transaction) {
    for (const effect of transaction.effects) if (effect.is(showCarets)) shown = effect.value;
    if (transaction.docChanged && shown.length > 0) {
      const side = transaction.annotation(remote) ? 1 : -1;
      shown = shown.map((caret) => ({
        ...caret,
        anchor: transaction.changes.mapPos(caret.anchor, side),
        head: transaction.changes.mapPos(caret.head, side),
      }));
    }
    return shown;
  },
  provide: (field) => EditorView.decorations.from(field, decorate),
});

/** The extension that shows carets. */
export function remoteCarets(): Extension {
  return carets;
}

/** Keeps the carets shown in one view where their owners have them. */
export class CaretTracker<T extends object> {
  readonly #view: EditorView;
  readonly #handle: DocHandle<T>;
  readonly #path: Path;
  readonly #unsubscribe: () => void;
  #owners: readonly CaretOwner[] = [];
  #asked = 0;
  #moves = 0;
  #isRetryDue = false;

  constructor(view: EditorView, handle: DocHandle<T>, path: Path) {
    this.#view = view;
    this.#handle = handle;
    this.#path = path;
    // A cursor may speak of a letter that has not arrived yet; once something has, it is looked up again.
    this.#unsubscribe = handle.on("change", ({ source }) => {
      if (source === "remote" && this.#isRetryDue) void this.#place();
    });
  }

  /** Shows exactly these. */
  set(owners: readonly CaretOwner[]): void {
    if (JSON.stringify(owners) === JSON.stringify(this.#owners)) return;
    this.#owners = owners;
    void this.#place();
  }

  close(): void {
    this.#unsubscribe();
    this.#asked += 1;
  }

  async #place(): Promise<void> {
    const asked = (this.#asked += 1);
    const owners = this.#owners;
    this.#isRetryDue = false;
    const found = await Promise.all(owners.map((owner) => Promise.all([this.#position(owner.anchor), this.#position(owner.head)])));
    if (asked !== this.#asked) return;
    const length = this.#view.state.doc.length;
    const before = new Map(this.#view.state.field(carets).map((caret) => [caret.key, caret]));
    const shown: ShownCaret[] = [];
    owners.forEach(({ key, name, colour }, at) => {
      const old = before.get(key);
      const [anchor = old?.anchor, head = old?.head] = found[at] ?? [];
      if (anchor === undefined || head === undefined) return;
      const isMoved = old === undefined || old.head !== head;
      shown.push({
        key,
        name,
        colour,
        anchor: Math.min(anchor, length),
        head: Math.min(head, length),
        moved: isMoved ? (this.#moves += 1) : old.moved,
      });
    });
    this.#view.dispatch({ effects: showCarets.of(shown) });
  }

  async #position(cursor: Cursor): Promise<number | undefined> {
    try {
      return await this.#handle.position(this.#path, cursor);
    } catch {
      this.#isRetryDue = true;
      return undefined;
    }
  }
}

function decorate(shown: readonly ShownCaret[]): DecorationSet {
  const ranges: Range<Decoration>[] = [];
  for (const caret of shown) {
    const { anchor, head, colour } = caret;
    if (anchor !== head) {
      ranges.push(Decoration.mark({ class: `remote-selection person-${colour}` }).range(Math.min(anchor, head), Math.max(anchor, head)));
    }
    ranges.push(Decoration.widget({ widget: new CaretWidget(caret), side: head <= anchor ? -1 : 1 }).range(head));
  }
  return Decoration.set(ranges, true);
}

class CaretWidget extends WidgetType {
  readonly #caret: ShownCaret;

  constructor(caret: ShownCaret) {
    super();
    this.#caret = caret;
  }

  override eq(other: CaretWidget): boolean {
    const [a, b] = [this.#caret, other.#caret];
    return a.key === b.key && a.moved === b.moved && a.name === b.name && a.colour === b.colour;
  }

  override toDOM(): HTMLElement {
    const { name, colour } = this.#caret;
    const caret = document.createElement("span");
    caret.className = `remote-caret person-${colour}`;
    caret.setAttribute("aria-hidden", "true");
    const flag = document.createElement("span");
    flag.className = "remote-caret-name";
    flag.textContent = name;
    caret.append("\u2060", flag, "\u2060");
    return caret;
  }

  override updateDOM(dom: HTMLElement): boolean {
    const { name, colour } = this.#caret;
    const flag = dom.querySelector(".remote-caret-name");
    if (!flag) return false;
    dom.className = `remote-caret person-${colour}`;
    if (flag.textContent !== name) flag.textContent = name;
    // The name shows itself again, and fades again.
    for (const animation of flag.getAnimations()) {
      animation.cancel();
      animation.play();
    }
    return true;
  }

  override get estimatedHeight(): number {
    return -1;
  }

  override ignoreEvent(): boolean {
    return true;
  }
}
