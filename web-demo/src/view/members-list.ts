/** Who is let into a notebook, with the way to shut someone out: asked once more before it is done. */

import type { PeerId } from "driftline";
import type { MemberLine } from "../model/members.ts";
import { h } from "./dom.ts";
import { icon } from "./icons.ts";

/** What the list asks for. */
export interface MembersListEvents {
  members(): Promise<readonly MemberLine[]>;
  /** Shuts a member out, or takes a link back. */
  remove(line: MemberLine): Promise<void>;
}

/** The list. */
export class MembersList {
  readonly element = h("ul", { class: "people-list members-list", "data-testid": "members", tabindex: "-1" });
  readonly #events: MembersListEvents;
  #lines: readonly MemberLine[] = [];
  #shown = "";
  /** Whose removal is being asked about. */
  #asked: PeerId | null = null;

  constructor(events: MembersListEvents) {
    this.#events = events;
  }

  /** Looks who is there. */
  async update(isFresh = false): Promise<void> {
    if (isFresh) this.#asked = null;
    this.#lines = await this.#events.members().catch(() => []);
    this.#show();
  }

  #show(): void {
    const shown = JSON.stringify([this.#lines, this.#asked]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    const focused = (document.activeElement as HTMLElement | null)?.dataset["key"];
    this.element.replaceChildren(...this.#lines.map((line) => (line.key === this.#asked ? this.#question(line) : this.#row(line))));
    if (focused !== undefined && !this.element.contains(document.activeElement)) {
      (this.element.querySelector<HTMLElement>(`[data-key="${focused}"]`) ?? this.element.querySelector<HTMLElement>("button"))?.focus();
    }
  }

  #row(line: MemberLine): HTMLElement {
    const { key, name, words, isLink, isRemovable } = line;
    const verb = isLink ? "Take back" : "Remove";
    return h(
      "li",
      { "data-testid": "member" },
      icon(isLink ? "share" : "person"),
      h("span", { class: "person-name" }, name),
      h("span", { class: "person-place" }, words),
      isRemovable && h("button", { class: "quiet small", type: "button", "data-key": key, "data-testid": "remove", "aria-label": `${verb} ${name}`, onclick: () => this.#ask(key) }, verb),
    );
  }

  #question(line: MemberLine): HTMLElement {
    const { key, name, isLink } = line;
    const [words, verb] = line.ticket !== null
      ? [`Take back ${name}? Whoever opens it is not let in.`, "Take back"]
      : isLink
      ? [`Take back ${name}? Nobody can join by it any more, and everyone who did is removed. They keep what they have, and get nothing new.`, "Take back"]
      : [`Remove ${name}? They keep what they have, and get nothing new. What they wrote stays. The link they came by stops working.`, "Remove"];
    const buttons = h(
      "span",
      { class: "question-buttons" },
      h("button", { class: "danger-button", type: "button", "data-key": key, "data-testid": "remove-really", onclick: () => void this.#remove(line) }, verb),
      h("button", { class: "quiet small", type: "button", onclick: () => this.#ask(null, key) }, "Keep"),
    );
    return h("li", { class: "question" }, h("div", { role: "group", "aria-label": words }, h("p", {}, words), buttons));
  }

  #ask(key: PeerId | null, back: PeerId | null = key): void {
    this.#asked = key;
    this.#show();
    this.element.querySelector<HTMLElement>(`[data-key="${back}"]`)?.focus();
  }

  async #remove(line: MemberLine): Promise<void> {
    this.#asked = null;
    await this.#events.remove(line);
    await this.update();
    // Whoever walks by keyboard stays in the list, also where nobody is left to remove.
    (this.element.querySelector<HTMLElement>("button") ?? this.element).focus();
  }
}
