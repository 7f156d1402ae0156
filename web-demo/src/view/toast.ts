/** One short message at a time, with at most one thing to do about it: "Note deleted. Undo". */

import { h } from "./dom.ts";
import { icon } from "./icons.ts";

/** Time enough to read, find the button, and press it; reading it (hover, focus) stops the clock. */
const SHOWN_MS = 9_000;

/** What to offer with a message. */
export interface ToastAction {
  label: string;
  run(): void;
}

/** The place where messages appear. */
export class Toast {
  readonly element = h("div", { class: "toast", role: "status", "data-testid": "toast" });
  #timer: ReturnType<typeof setTimeout> | undefined;
  #action: ToastAction | null = null;

  constructor() {
    this.element.hidden = true;
    for (const name of ["pointerenter", "focusin"]) this.element.addEventListener(name, () => clearTimeout(this.#timer));
    for (const name of ["pointerleave", "focusout"]) this.element.addEventListener(name, () => this.#arm());
  }

  /** Shows a message; `isSticky` ones stay until dismissed. */
  show(message: string, action: ToastAction | null = null, isSticky = false): void {
    this.#action = action;
    this.element.replaceChildren(h("span", { class: "toast-text" }, message));
    if (action) {
      this.element.append(h("button", { class: "toast-action", type: "button", "data-testid": "toast-action", onclick: () => this.run() }, action.label));
    }
    this.element.append(h("button", { class: "bare", type: "button", "aria-label": "Dismiss", onclick: () => this.hide() }, icon("close")));
    this.element.hidden = false;
    clearTimeout(this.#timer);
    if (isSticky) this.#timer = undefined;
    else this.#arm();
  }

  /** Does what is offered, when something is. */
  run(): boolean {
    const action = this.#action;
    this.hide();
    action?.run();
    return action !== null;
  }

  hide(): void {
    clearTimeout(this.#timer);
    this.#action = null;
    this.element.hidden = true;
  }

  #arm(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.hide(), SHOWN_MS);
  }
}
