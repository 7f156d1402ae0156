/** Behind a note's meta line: who wrote it, and whether that is proved. */

import type { WriterLine } from "../model/writers.ts";
import { h } from "./dom.ts";
import { icon } from "./icons.ts";
import { opens } from "./popover.ts";

/** The writers of a note; nothing in a notebook where nobody can tell. */
export type Writers = readonly WriterLine[] | null;

/** The button and the panel. */
export class WritersPanel {
  readonly button = h("button", { class: "writers", type: "button", "data-testid": "writers" }, icon("check"), "Who wrote this");
  readonly panel: HTMLElement;
  readonly #list = h("ul", { class: "people-list", "data-testid": "writers-list" });
  readonly #footnote = h("p", { class: "panel-footnote" });
  readonly #ask: () => Promise<Writers>;
  #shown = "";

  constructor(ask: () => Promise<Writers>) {
    this.#ask = ask;
    this.panel = h("div", { class: "writers-panel" }, h("h2", {}, "Who wrote this note"), this.#list, this.#footnote);
    opens(this.button, this.panel, "Who wrote this note", () => {
      this.#shown = "";
      void this.#fill();
    });
  }

  /** Looks again, if it is open. */
  update(): void {
    if (this.panel.matches(":popover-open")) void this.#fill();
  }

  async #fill(): Promise<void> {
    const writers = await this.#ask().catch((): Writers => []);
    const shown = JSON.stringify(writers);
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#list.replaceChildren(
      ...(writers ?? []).map(({ name, words, isVouched }) =>
        h("li", { class: isVouched ? "is-vouched" : "" }, icon(isVouched ? "check" : "pen"), h("span", { class: "person-name" }, name), h("span", { class: "person-place" }, words)),
      ),
    );
    this.#footnote.textContent =
      writers === null
        ? "This notebook is open: whoever has its link may write, and nobody can prove who wrote what."
        : "Each device signs what it writes, about once a second, with a key that only it has. This browser has checked the signatures.";
  }
}
