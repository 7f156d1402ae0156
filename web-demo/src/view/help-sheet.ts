/** The keyboard, on one sheet. */

import { h } from "./dom.ts";
import { icon } from "./icons.ts";

const isApple = /Mac|iPhone|iPad/.test(navigator.platform);
const MOD = isApple ? "⌘" : "Ctrl";
const ALT = isApple ? "⌥" : "Alt";

type Keys = readonly [keys: readonly string[], meaning: string];

const SECTIONS: readonly (readonly [string, readonly Keys[]])[] = [
  [
    "Anywhere",
    [
      [[MOD, "K"], "Search"],
      [[MOD, ALT, "N"], "New note"],
      [[MOD, ALT, "O"], "Work offline, or online again"],
      [[MOD, ALT, "R"], "Read, or write again"],
      [["F6"], "Go round the parts of the window"],
      [["?"], "This sheet (outside of text)"],
    ],
  ],
  [
    "In the list",
    [
      [["↑"], "Note above"],
      [["↓"], "Note below"],
      [["Enter"], "Write in it"],
      [isApple ? [MOD, "⌫"] : ["Delete"], "Delete it"],
    ],
  ],
  [
    "In a note",
    [
      [["Esc"], "Back to the list"],
      [[MOD, "Z"], "Undo what you wrote, never what others did"],
      [[MOD, "B"], "Bold"],
      [[MOD, "I"], "Italic"],
      [[MOD, "E"], "Code"],
      [[MOD, "]"], "Indent"],
      [[MOD, "["], "Indent less"],
    ],
  ],
];

/** The sheet. */
export class HelpSheet {
  readonly element: HTMLDialogElement;

  constructor() {
    this.element = h(
      "dialog",
      { class: "sheet", "aria-labelledby": "help-title", "data-testid": "help" },
      h(
        "div",
        { class: "sheet-head" },
        h("h2", { id: "help-title" }, "Keyboard"),
        h("button", { class: "bare", type: "button", "aria-label": "Close", onclick: () => this.element.close() }, icon("close")),
      ),
      h(
        "div",
        { class: "sheet-body" },
        ...SECTIONS.map(([name, rows]) =>
          h(
            "section",
            {},
            h("h3", {}, name),
            h("dl", {}, ...rows.map(([keys, meaning]) => h("div", {}, h("dt", {}, ...keys.map((key) => h("kbd", {}, key))), h("dd", {}, meaning)))),
          ),
        ),
      ),
    );
    this.element.addEventListener("click", (event) => {
      if (event.target === this.element) this.element.close();
    });
  }

  open(): void {
    if (!this.element.open) this.element.showModal();
  }
}
