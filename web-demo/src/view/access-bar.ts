/** A line across the window for whoever may not write here: what that means, and what one keeps. */

import type { AccessNotice } from "../model/access.ts";
import { attribute, h, text } from "./dom.ts";
import { icon } from "./icons.ts";

/** The line. */
export class AccessBar {
  readonly #headline = h("strong", {});
  readonly #words = h("span", { "data-testid": "access-words" });
  readonly element = h("aside", { class: "access-bar", "aria-label": "What you may do here", "data-testid": "access" }, icon("lock"), h("p", {}, this.#headline, " ", this.#words));

  constructor() {
    this.element.hidden = true;
  }

  /** Shows this, or nothing. Answers whether that is news. */
  update(notice: AccessNotice | null): boolean {
    const before = this.element.hidden ? "" : this.#words.textContent;
    this.element.hidden = notice === null;
    attribute(this.element, "data-apart", notice?.isApart === true);
    text(this.#headline, notice === null ? "" : `${notice.headline}.`);
    text(this.#words, notice?.words ?? "");
    return before !== (notice?.words ?? "");
  }
}
