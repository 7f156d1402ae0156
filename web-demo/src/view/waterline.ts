/**
 * The foot of the window: how far one has drifted, in a line and in words.
 *
 * The line lies flat when everyone who can be reached holds the same, ripples while they are settling, and moves in
 * waves while one is adrift. The words beside it say the same to those who cannot see it; a press tells all there is to know.
 */

import type { Status } from "../model/status.ts";
import { attribute, h, text } from "./dom.ts";
import { opens } from "./popover.ts";

/** A fall in how saved things are shows at once; a rise only when it has lasted, so that typing does not flicker. */
const RISE_MS = 450;
const RANK: Record<Status["drift"], number> = { adrift: 0, reaching: 1, settling: 2, together: 3 };

/** The line, the status and the switch. */
export class Waterline {
  readonly element: HTMLElement;
  readonly #headline = h("span", { class: "status-headline" });
  readonly #addition = h("span", { class: "status-addition" });
  readonly #button: HTMLButtonElement;
  readonly #details = h("dl", { class: "status-details", "data-testid": "status-details" });
  readonly #switch: HTMLButtonElement;
  readonly #arriving = h("div", { class: "arriving", role: "progressbar", "aria-label": "Notes on their way to this device", "data-testid": "arriving", hidden: true });
  readonly #onShown: (status: Status) => void;
  #shown: Status | null = null;
  #next: Status | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(onSwitch: (isOnline: boolean) => void, onShown: (status: Status) => void, footnote: () => string | null) {
    this.#onShown = onShown;
    this.#button = h(
      "button",
      { class: "status", type: "button", "data-testid": "status" },
      h("span", { class: "status-dot", "aria-hidden": "true" }),
      h("span", { class: "status-words" }, this.#headline, " ", this.#addition),
    );
    this.#switch = h(
      "button",
      {
        class: "switch",
        type: "button",
        role: "switch",
        "aria-checked": "false",
        "data-testid": "work-offline",
        onclick: () => onSwitch(this.#switch.ariaChecked === "true"),
      },
      h("span", { class: "switch-track", "aria-hidden": "true" }, h("span", { class: "switch-thumb" })),
      h("span", {}, "Work offline"),
    );
    const note = h("p", { class: "panel-footnote" });
    const panel = h("div", { class: "status-panel" }, h("h2", {}, "Where your words are"), this.#details, note);
    opens(this.#button, panel, "Where your words are", () => {
      const words = footnote();
      text(note, words ?? "");
      note.hidden = words === null;
    });
    this.element = h("footer", { class: "waterline", "aria-label": "Status" }, wave(), this.#arriving, this.#button, panel, h("span", { class: "waterline-tools" }, this.#switch));
  }

  /** Puts buttons at the far end. */
  add(...buttons: HTMLElement[]): void {
    this.element.querySelector(".waterline-tools")?.append(...buttons);
  }

  /** Works offline, or online again. */
  toggle(): void {
    this.#switch.click();
  }

  focus(): void {
    this.#button.focus();
  }

  /** Shows this status, now or, when it is better news than what shows, once it has lasted. */
  update(status: Status, isOnline: boolean): void {
    attribute(this.#switch, "aria-checked", isOnline ? "false" : "true");
    const shown = this.#shown;
    const isRise = shown !== null && RANK[status.drift] > RANK[shown.drift] && RANK[shown.drift] >= RANK.settling;
    this.#next = status;
    if (!isRise) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#show(status);
    } else {
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        if (this.#next) this.#show(this.#next);
      }, RISE_MS);
    }
  }

  #show(status: Status): void {
    this.#shown = status;
    attribute(this.element, "data-drift", status.drift);
    attribute(this.element, "data-warning", status.isWarning);
    attribute(this.#button, "data-phase", status.phase);
    text(this.#headline, status.headline);
    text(this.#addition, status.addition);
    this.#showArriving(status.arriving);
    const wanted = status.details.flatMap(({ name, text: words, tone }) => [`<${tone}>${name}`, words]).join("\n");
    if (this.#details.dataset["shown"] !== wanted) {
      this.#details.dataset["shown"] = wanted;
      this.#details.replaceChildren(
        ...status.details.map(({ name, text: words, tone }) => h("div", { "data-tone": tone }, h("dt", {}, name), h("dd", {}, words))),
      );
    }
    this.#onShown(status);
  }

  /** How much has come of what is on its way, as a part of the line; where nobody knows how much there is, only that something is. */
  #showArriving(arriving: Status["arriving"]): void {
    const bar = this.#arriving;
    bar.hidden = arriving === null;
    if (arriving === null) return;
    const percent = arriving.share === null ? null : Math.round(arriving.share * 100);
    attribute(bar, "aria-valuemin", percent === null ? null : 0);
    attribute(bar, "aria-valuemax", percent === null ? null : 100);
    attribute(bar, "aria-valuenow", percent);
    attribute(bar, "aria-valuetext", arriving.words);
    bar.style.setProperty("--share", String(arriving.share ?? 0));
  }
}

/** One long row of waves, as wide as any window. CSS lets it sink behind the foot of the window, or rise and move. */
function wave(): HTMLElement {
  const length = 44;
  const row = (crests: number): string => `q${length / 4} -5.5 ${length / 2} 0t${length / 2} 0${`t${length / 2} 0t${length / 2} 0`.repeat(crests - 1)}`;
  const width = 6_000;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "wave");
  for (const name of ["wave-far", "wave-near"]) {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("class", name);
    path.setAttribute("d", `M${-2 * length} 5${row(Math.ceil(width / length) + 4)}V40H${-2 * length}Z`);
    svg.append(path);
  }
  const clip = h("span", { class: "wave-clip", "aria-hidden": "true" });
  clip.append(svg);
  return clip;
}
