/** How Markdown looks while it is written: its signs stay, quietly, and what they mean shows. */

import { insertNewlineContinueMarkup, deleteMarkupBackward, markdown, markdownLanguage } from "@codemirror/lang-markdown";
import { HighlightStyle, syntaxHighlighting, syntaxTree } from "@codemirror/language";
import { EditorSelection, type Extension, Prec, type Range, type StateCommand } from "@codemirror/state";
import { Decoration, type DecorationSet, EditorView, keymap, ViewPlugin, type ViewUpdate, WidgetType } from "@codemirror/view";
import { tags } from "@lezer/highlight";

/** Markdown as it is written here: GitHub's flavour, styled, with its keys and with boxes that can be ticked. */
export function markdownWriting(): Extension {
  return [
    markdown({ base: markdownLanguage, addKeymap: false, completeHTMLTags: false, pasteURLAsLink: true }),
    syntaxHighlighting(style),
    lineStyles,
    Prec.high(
      keymap.of([
        { key: "Enter", run: insertNewlineContinueMarkup },
        { key: "Backspace", run: deleteMarkupBackward },
        { key: "Mod-b", run: toggleSigns("**") },
        { key: "Mod-i", run: toggleSigns("*") },
        { key: "Mod-e", run: toggleSigns("`") },
        { key: "Mod-Shift-x", run: toggleSigns("~~") },
      ]),
    ),
  ];
}

const style = HighlightStyle.define([
  { tag: tags.heading1, class: "md-h1" },
  { tag: tags.heading2, class: "md-h2" },
  { tag: [tags.heading3, tags.heading4, tags.heading5, tags.heading6], class: "md-h3" },
  { tag: tags.strong, class: "md-strong" },
  { tag: tags.emphasis, class: "md-em" },
  { tag: tags.strikethrough, class: "md-strike" },
  { tag: tags.monospace, class: "md-code" },
  { tag: [tags.link, tags.url], class: "md-link" },
  { tag: tags.quote, class: "md-quote" },
  { tag: [tags.processingInstruction, tags.contentSeparator, tags.labelName, tags.escape], class: "md-sign" },
]);

/** Whole lines that look different: headings, quotes, code blocks, and lists, which hang from their signs. */
const lineStyles = ViewPlugin.fromClass(
  class {
    decorations: DecorationSet;
    atomic: DecorationSet;
    constructor(view: EditorView) {
      [this.decorations, this.atomic] = styled(view);
    }
    update(update: ViewUpdate): void {
      if (update.docChanged || update.viewportChanged || syntaxTree(update.startState) !== syntaxTree(update.state)) {
        [this.decorations, this.atomic] = styled(update.view);
      }
    }
  },
  {
    decorations: (plugin) => plugin.decorations,
    provide: (plugin) => EditorView.atomicRanges.of((view) => view.plugin(plugin)?.atomic ?? Decoration.none),
  },
);

const LINE_CLASSES: Record<string, string> = {
  FencedCode: "md-line-code",
  CodeBlock: "md-line-code",
  Blockquote: "md-line-quote",
  HorizontalRule: "md-line-rule",
  ATXHeading1: "md-line-h1",
  ATXHeading2: "md-line-h2",
  ATXHeading3: "md-line-h3",
};

/** How far each level of a list hangs in, in ems; `note.css` has the box of a task as wide. */
const HANG_EMS = 1.5;
const LEVEL_MAX = 8;

/** What decorates the visible text, and the part of it that carets step over as one. */
function styled(view: EditorView): [decorations: DecorationSet, atomic: DecorationSet] {
  const { doc } = view.state;
  const tree = syntaxTree(view.state);
  const lines = new Map<number, Set<string>>();
  const ranges: Range<Decoration>[] = [];
  const atomic: Range<Decoration>[] = [];
  const mark = (from: number, to: number, name: string): void => {
    const [first, last] = [doc.lineAt(from).number, doc.lineAt(to).number];
    for (let line = first; line <= last; line += 1) {
      const classes = lines.get(line) ?? new Set();
      lines.set(line, classes.add(name));
      if (name === "md-line-code" && line === first) classes.add("md-line-first");
      if (name === "md-line-code" && line === last) classes.add("md-line-last");
    }
  };
  for (const { from, to } of view.visibleRanges) {
    let level = 0;
    tree.iterate({
      from,
      to,
      enter(node) {
        const name = LINE_CLASSES[node.name];
        if (name !== undefined) mark(node.from, node.to, name);
        if (node.name === "ListItem") level += 1;
        if (node.name !== "ListMark") return;
        const line = doc.lineAt(node.from);
        const task = node.node.nextSibling?.name === "Task" ? node.node.nextSibling.getChild("TaskMarker") : null;
        const end = Math.min((task ? task.to : node.to) + 1, line.to);
        const before = view.state.sliceDoc(line.from, node.from);
        // A list inside a quote keeps the quote's signs in front, and is left as it is.
        if (before.trim() !== "") return;
        const width = `${HANG_EMS * Math.min(level, LEVEL_MAX)}em`;
        ranges.push(Decoration.line({ class: "md-line-list", attributes: { style: `padding-left: ${width}; text-indent: -${width}` } }).range(line.from));
        if (task) {
          const isTicked = /x/i.test(view.state.sliceDoc(task.from, task.to));
          const box = Decoration.replace({ widget: new TaskBox(isTicked, width) }).range(line.from, end);
          ranges.push(box);
          atomic.push(box);
        } else {
          ranges.push(Decoration.mark({ class: "md-bullet", attributes: { style: `min-width: ${width}` } }).range(line.from, end));
        }
      },
      leave(node) {
        if (node.name === "ListItem") level -= 1;
      },
    });
  }
  for (const [line, classes] of lines) ranges.push(Decoration.line({ class: [...classes].join(" ") }).range(doc.line(line).from));
  return [Decoration.set(ranges, true), Decoration.set(atomic, true)];
}

/** A task's sign, from the beginning of its line, as a box to tick. */
class TaskBox extends WidgetType {
  readonly #isTicked: boolean;
  readonly #width: string;

  constructor(isTicked: boolean, width: string) {
    super();
    this.#isTicked = isTicked;
    this.#width = width;
  }

  override eq(other: TaskBox): boolean {
    return other.#isTicked === this.#isTicked && other.#width === this.#width;
  }

  override toDOM(view: EditorView): HTMLElement {
    const box = document.createElement("input");
    box.type = "checkbox";
    box.className = "md-task";
    box.checked = this.#isTicked;
    box.tabIndex = -1;
    box.setAttribute("aria-label", this.#isTicked ? "Done" : "To do");
    const holder = document.createElement("span");
    holder.className = "md-bullet";
    holder.style.minWidth = this.#width;
    holder.append(box);
    box.addEventListener("mousedown", (event) => event.preventDefault());
    box.addEventListener("click", (event) => {
      event.preventDefault();
      const line = view.state.doc.lineAt(view.posAtDOM(holder));
      const at = line.from + line.text.search(/\[[ xX]\]/) + 1;
      if (at > line.from) view.dispatch({ changes: { from: at, to: at + 1, insert: this.#isTicked ? " " : "x" }, userEvent: "input.task" });
    });
    return holder;
  }

  override ignoreEvent(): boolean {
    return true;
  }
}

/** Puts Markdown signs around each selection, or takes them away. */
function toggleSigns(signs: string): StateCommand {
  return ({ state, dispatch }) => {
    const { length } = signs;
    const change = state.changeByRange((range) => {
      const before = state.sliceDoc(range.from - length, range.from);
      const after = state.sliceDoc(range.to, range.to + length);
      if (before === signs && after === signs) {
        return {
          changes: [
            { from: range.from - length, to: range.from },
            { from: range.to, to: range.to + length },
          ],
          range: EditorSelection.range(range.anchor - length, range.head - length),
        };
      }
      return {
        changes: [
          { from: range.from, insert: signs },
          { from: range.to, insert: signs },
        ],
        range: EditorSelection.range(range.anchor + length, range.head + length),
      };
    });
    dispatch(state.update(change, { scrollIntoView: true, userEvent: "input.format" }));
    return true;
  };
}
