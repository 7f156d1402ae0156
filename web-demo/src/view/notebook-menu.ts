/** The notebook's name, and behind it the way to rename it, to leave for another, and to bring deleted notes back. */

import { invitationIn, ticketIn } from "driftline";
import type { Recent } from "../model/places.ts";
import { placeFragment, placeFrom } from "../model/places.ts";
import { attribute, h, text } from "./dom.ts";
import { icon } from "./icons.ts";
import { opens } from "./popover.ts";

/** What the menu asks for. */
export interface NotebookMenuEvents {
  onRename(name: string): void;
  onNew(): void;
  /** A link by which one joins was pasted. */
  onJoin(invitation: string): void;
  onForget(notebook: string): void;
  onRestore(note: string): void;
  onBackUp(): void;
  /** Someone has a backup, or a recovery phrase. */
  onComeBack(): void;
  /** To link another device, or give one up. */
  onDevices(): void;
}

/** What the menu shows. */
export interface NotebookMenuContents {
  name: string;
  notebook: string;
  recent: readonly Recent[];
  /** Whether one may rename it, and bring notes back. */
  mayWrite: boolean;
  deleted: readonly { id: string; headline: string }[];
}

/** The button and the panel. */
export class NotebookMenu {
  readonly element: HTMLElement;
  readonly #label = h("span", { class: "notebook-name" });
  readonly #name: HTMLInputElement;
  readonly #body = h("div", { class: "notebook-lists" });
  readonly #events: NotebookMenuEvents;
  readonly #panel: HTMLElement;

  constructor(contents: () => NotebookMenuContents, events: NotebookMenuEvents) {
    this.#events = events;
    this.#name = h("input", {
      type: "text",
      id: "notebook-name",
      maxlength: 60,
      autocomplete: "off",
      "data-testid": "notebook-name",
      onchange: () => events.onRename(this.#name.value),
      onkeydown: (event: KeyboardEvent) => {
        if (event.key === "Enter") this.#panel.hidePopover();
      },
    });
    const link = h("input", { type: "text", id: "open-link", placeholder: "Paste a link, or type a name", autocomplete: "off", spellcheck: "false" });
    const openForm = h("form", { class: "field-row" }, link, h("button", { class: "quiet", type: "submit" }, "Open"));
    openForm.addEventListener("submit", (event) => {
      event.preventDefault();
      const invitation = invitationIn(link.value) ?? ticketIn(link.value)?.link;
      const place = placeFrom(link.value);
      attribute(link, "aria-invalid", invitation === undefined && place === null ? "true" : null);
      if (invitation === undefined && place === null) return;
      link.value = "";
      this.#panel.hidePopover();
      if (invitation !== undefined) events.onJoin(invitation);
      else if (place !== null) location.hash = placeFragment(place);
    });
    this.#panel = h(
      "div",
      { class: "notebook-panel" },
      h("label", { for: "notebook-name" }, "Name of this notebook"),
      this.#name,
      h("button", { class: "quiet wide", type: "button", "data-testid": "new-notebook", onclick: () => this.#leave(events.onNew) }, icon("plus"), "New notebook"),
      h("label", { for: "open-link" }, "Open another"),
      openForm,
      this.#body,
      h(
        "div",
        { class: "notebook-lists" },
        h("h2", {}, "This device"),
        h("button", { class: "quiet wide", type: "button", "data-testid": "devices-open", onclick: () => this.#leave(events.onDevices) }, icon("person"), "Your devices…"),
        h("button", { class: "quiet wide", type: "button", "data-testid": "back-up", onclick: () => this.#leave(events.onBackUp) }, icon("shield"), "Back up…"),
        h("button", { class: "quiet wide", type: "button", "data-testid": "come-back", onclick: () => this.#leave(events.onComeBack) }, icon("download"), "Restore from a backup…"),
      ),
    );
    const button = h("button", { class: "notebook", type: "button", "data-testid": "notebook" }, this.#label, icon("chevron"));
    opens(button, this.#panel, "Notebook", () => this.#fill(contents()));
    this.element = h("div", { class: "notebook-menu" }, button, this.#panel);
  }

  /** Shows the notebook's name. */
  update(name: string): void {
    text(this.#label, name);
  }

  #fill({ name, notebook, recent, deleted, mayWrite }: NotebookMenuContents): void {
    this.#name.value = name;
    this.#name.readOnly = !mayWrite;
    this.#body.replaceChildren();
    const others = recent.filter((each) => each.notebook !== notebook).slice(0, 8);
    if (others.length > 0) {
      this.#body.append(
        h("h2", {}, "Recent"),
        h(
          "ul",
          { class: "menu-list" },
          ...others.map((each) =>
            h(
              "li",
              {},
              h("a", { href: placeFragment({ notebook: each.notebook, note: null }), onclick: () => this.#panel.hidePopover() }, icon("book"), h("span", {}, each.name)),
              h(
                "button",
                {
                  class: "bare",
                  type: "button",
                  "aria-label": `Take ${each.name} off this list`,
                  title: "Take off this list",
                  onclick: (event: Event) => {
                    this.#events.onForget(each.notebook);
                    (event.currentTarget as Element).closest("li")?.remove();
                  },
                },
                icon("close"),
              ),
            ),
          ),
        ),
      );
    }
    if (deleted.length > 0 && mayWrite) {
      this.#body.append(
        h("h2", {}, "Deleted notes"),
        h(
          "ul",
          { class: "menu-list" },
          ...deleted.slice(0, 12).map(({ id, headline }) =>
            h("li", {}, h("span", { class: "menu-text" }, headline), h("button", { class: "quiet small", type: "button", onclick: () => this.#leave(() => this.#events.onRestore(id)) }, "Restore")),
          ),
        ),
      );
    }
  }

  #leave(then: () => void): void {
    this.#panel.hidePopover();
    then();
  }
}
