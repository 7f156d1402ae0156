/** Who is here: faces in a row, and behind them a list with names, where they are, and one's own name and colour. */

import { COLOURS, NAME_LENGTH_MAX, type Identity } from "../model/identity.ts";
import type { Person } from "../model/people.ts";
import { counted } from "../model/words.ts";
import { attribute, h } from "./dom.ts";
import { face } from "./faces.ts";
import { opens } from "./popover.ts";

const FACES_MAX = 4;
const COLOUR_WORDS: Record<(typeof COLOURS)[number], string> = {
  kelp: "Kelp green",
  coral: "Coral",
  iris: "Iris violet",
  amber: "Amber",
  lagoon: "Lagoon blue",
  rose: "Rose",
  moss: "Moss",
  slate: "Slate",
};

/** The faces and the panel. */
export class PeopleBar {
  readonly element: HTMLElement;
  readonly #button = h("button", { class: "people", type: "button", "data-testid": "people" });
  readonly #list = h("ul", { class: "people-list", "data-testid": "people-list" });
  readonly #name: HTMLInputElement;
  readonly #colours: HTMLElement;
  readonly #onIdentity: (identity: Identity) => void;
  #identity: Identity;

  constructor(identity: Identity, onIdentity: (identity: Identity) => void) {
    this.#identity = identity;
    this.#onIdentity = onIdentity;
    this.#name = h("input", {
      type: "text",
      id: "own-name",
      maxlength: NAME_LENGTH_MAX,
      autocomplete: "nickname",
      "data-testid": "own-name",
      onchange: () => this.#introduce({ name: this.#name.value.trim() || this.#identity.name }),
      onkeydown: (event: KeyboardEvent) => {
        if (event.key === "Enter") this.#name.blur();
      },
    });
    this.#name.value = identity.name;
    this.#colours = h("div", { class: "colours", role: "radiogroup", "aria-label": "Your colour" });
    for (const colour of COLOURS) {
      const radio = h("input", {
        type: "radio",
        name: "own-colour",
        value: colour,
        class: `person-${colour}`,
        "aria-label": COLOUR_WORDS[colour],
        title: COLOUR_WORDS[colour],
        onchange: () => this.#introduce({ colour }),
      });
      radio.checked = colour === identity.colour;
      this.#colours.append(radio);
    }
    const panel = h(
      "div",
      { class: "people-panel" },
      h("h2", {}, "You"),
      h("label", { for: "own-name", class: "visually-hidden" }, "Your name"),
      this.#name,
      this.#colours,
      h("p", { class: "panel-footnote" }, "This is how others see you. It is kept in this browser."),
      h("h2", {}, "Also here"),
      this.#list,
    );
    opens(this.#button, panel, "People");
    this.element = h("div", { class: "people-bar" }, this.#button, panel);
    this.update([], () => null);
  }

  /** Shows these others, and what each is reading. */
  update(others: readonly Person[], noteName: (note: string) => string | null): void {
    const key = JSON.stringify([this.#identity, others.map((person) => [person.name, person.colour, person.note === null ? null : noteName(person.note)])]);
    if (this.element.dataset["shown"] === key) return;
    this.element.dataset["shown"] = key;
    const shown = others.slice(0, others.length > FACES_MAX ? FACES_MAX - 1 : FACES_MAX);
    const rest = others.length - shown.length;
    this.#button.replaceChildren(...shown.map(face), ...(rest > 0 ? [h("span", { class: "face face-more", "aria-hidden": "true" }, `+${rest}`)] : []), face(this.#identity));
    attribute(this.#button, "aria-label", others.length === 0 ? "Only you are here" : `${counted(others.length, "other person", "other people")} here`);
    this.#button.title = others.length === 0 ? "Only you are here" : others.map((person) => person.name).join(", ");
    this.#list.replaceChildren(
      ...others.map((person) => {
        const where = person.note === null ? null : noteName(person.note);
        return h("li", {}, face(person), h("span", { class: "person-name" }, person.name), h("span", { class: "person-place" }, where === null ? "looking around" : `in ${where}`));
      }),
    );
    if (others.length === 0) this.#list.append(h("li", { class: "person-place" }, "Nobody yet. Share the link, and they appear here."));
  }

  /** Shows this name and colour as one's own. */
  introduce(identity: Identity): void {
    this.#identity = identity;
    if (document.activeElement !== this.#name) this.#name.value = identity.name;
    for (const radio of this.#colours.querySelectorAll("input")) radio.checked = radio.value === identity.colour;
  }

  #introduce(change: Partial<Identity>): void {
    this.#identity = { ...this.#identity, ...change };
    if (this.#name.value !== this.#identity.name) this.#name.value = this.#identity.name;
    this.#onIdentity(this.#identity);
  }
}

