/**
 * Sharing. An owned notebook is shared by links that are made for it: to read or to write, for a while or for good; and below stands who has come. An
 * open one is shared by its address, which is all that it takes.
 */

import { attribute, h, text } from "./dom.ts";
import { icon } from "./icons.ts";
import { MembersList, type MembersListEvents } from "./members-list.ts";
import { opens } from "./popover.ts";

/** The addresses of the moment. */
export interface ShareLinks {
  notebook: string;
  note: string | null;
}

/** What a link is to give. */
export interface ShareOffer {
  mayWrite: boolean;
  /** Days until it ends; null for never. */
  days: number | null;
  /** Whether it works once. */
  isOnce: boolean;
  note: string;
}

/** What the panel asks for. */
export interface SharePanelEvents extends MembersListEvents {
  links(): ShareLinks;
  /** How the notebook can be shared: by anyone, by its members, or not by this device. */
  mayShare(): "open" | "yes" | "no";
  /** Whether what is in the notebook is encrypted from end to end. */
  isSealed(): boolean;
  share(offer: ShareOffer): Promise<string>;
  onCopied(what: string): void;
}

const NOTE_LENGTH_MAX = 32;

/** The button, and the panel. */
export class SharePanel {
  readonly button = h("button", { class: "primary", type: "button", "data-testid": "share" }, icon("share"), h("span", { class: "label" }, "Share"));
  readonly panel: HTMLElement;
  readonly members: MembersList;
  readonly #events: SharePanelEvents;
  readonly #words = h("p", {});
  readonly #sealHeadline = h("strong", {});
  readonly #sealWords = h("span", {});
  readonly #seal = h("div", { class: "share-seal", "data-testid": "seal" }, h("p", {}, this.#sealHeadline, " ", this.#sealWords));
  readonly #form: HTMLElement;
  readonly #field: HTMLInputElement;
  readonly #row: HTMLElement;
  readonly #error = h("p", { class: "panel-error", role: "alert", hidden: true });
  readonly #who = h("section", { class: "share-members" }, h("h2", {}, "Who can open it"));
  readonly #level = [radio("share-level", "read", "Can read"), radio("share-level", "write", "Can write")] as const;
  readonly #ends = h(
    "select",
    { id: "share-ends", "data-testid": "share-ends" },
    h("option", { value: "" }, "never"),
    h("option", { value: "1" }, "in a day"),
    h("option", { value: "7" }, "in a week"),
  );
  readonly #once = h("input", { type: "checkbox", id: "share-once", "data-testid": "share-once", "aria-describedby": "share-once-words" });
  readonly #for = h("input", { type: "text", id: "share-for", maxlength: NOTE_LENGTH_MAX, autocomplete: "off", placeholder: "Optional", "data-testid": "share-for" });

  constructor(events: SharePanelEvents) {
    this.#events = events;
    this.members = new MembersList(events);
    this.#who.append(this.members.element);
    this.#field = h("input", { type: "text", readonly: true, id: "share-link", "data-testid": "share-link", onfocus: () => this.#field.select() });
    const copyButton = h("button", { class: "primary", type: "button", "data-testid": "copy-link", onclick: () => void this.#copy("Link to this notebook", () => this.#field.value) }, icon("copy"), "Copy");
    this.#row = h("div", { class: "field-row" }, this.#field, copyButton);
    const noteButton = h("button", { class: "quiet", type: "button", onclick: () => void this.#copy("Link to this note", () => events.links().note) }, icon("copy"), "Copy link to this note");
    this.#form = h(
      "form",
      { class: "share-form" },
      h("fieldset", {}, h("legend", {}, "Whoever has the link"), h("div", { class: "choices" }, ...this.#level)),
      h("label", { class: "choice share-once" }, this.#once, h("span", {}, "For one person only")),
      h("p", { id: "share-once-words", class: "panel-footnote" }, "The first who opens it is let in, as soon as this device is connected and hears of them. Nobody else is."),
      h("div", { class: "labelled" }, h("label", { for: "share-ends" }, "Ends"), this.#ends),
      h("div", { class: "labelled" }, h("label", { for: "share-for" }, "For"), this.#for),
      h("button", { class: "primary wide", type: "submit", "data-testid": "make-link" }, icon("share"), "Copy a new link"),
    );
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#share();
    });
    this.panel = h(
      "div",
      { class: "share-panel" },
      h("h2", {}, "Share this notebook"),
      this.#words,
      this.#seal,
      this.#form,
      h("label", { for: "share-link", class: "visually-hidden" }, "Link to this notebook"),
      this.#row,
      this.#error,
      noteButton,
      this.#who,
    );
    opens(this.button, this.panel, "Share", () => {
      const { notebook, note } = events.links();
      const mayShare = events.mayShare();
      text(this.#words, WORDS[mayShare]);
      const isSealed = events.isSealed();
      const [headline, words] = isSealed ? SEALED : UNSEALED;
      text(this.#sealHeadline, headline);
      text(this.#sealWords, words);
      this.#seal.querySelector("svg")?.remove();
      this.#seal.prepend(icon(isSealed ? "lock" : "warning"));
      this.#form.hidden = mayShare !== "yes";
      this.#who.hidden = mayShare === "open";
      this.#row.hidden = mayShare === "yes";
      this.#error.hidden = true;
      this.#field.value = mayShare === "yes" ? "" : notebook;
      noteButton.hidden = note === null || mayShare === "yes";
      if (mayShare !== "open") void this.members.update(true);
    });
  }

  /** Looks again who is there, if it is open. */
  update(): void {
    if (this.panel.matches(":popover-open") && !this.#who.hidden) void this.members.update();
  }

  async #share(): Promise<void> {
    const mayWrite = this.#level[1].querySelector("input")?.checked === true;
    try {
      const link = await this.#events.share({ mayWrite, days: this.#ends.value === "" ? null : Number(this.#ends.value), isOnce: this.#once.checked, note: this.#for.value.trim() });
      this.#field.value = link;
      this.#row.hidden = false;
      this.#error.hidden = true;
      if (await copyText(link, this.#field)) this.#events.onCopied("A new link was made and");
      void this.members.update();
    } catch (error) {
      text(this.#error, error instanceof Error ? `No link was made: ${error.message}.` : String(error));
      this.#error.hidden = false;
    }
  }

  async #copy(what: string, link: () => string | null): Promise<void> {
    const words = link();
    if (words !== null && (await copyText(words, this.#field))) {
      this.panel.hidePopover();
      this.#events.onCopied(what);
    }
  }
}

const WORDS: Record<ReturnType<SharePanelEvents["mayShare"]>, string> = {
  open: "This notebook is open: anyone with this link can read and write all of its notes, and nobody can be shut out. There is nothing to sign up for.",
  yes: "Whoever opens a link joins, without signing up, until it ends or you remove them. Send it on a way that nobody else reads.",
  no: "Whoever let you in can let others in; you cannot. Those who are in already can open it by its address:",
};

const SEALED = [
  "End-to-end encrypted.",
  "Only those who are in can read it. Relays keep and pass on what they cannot read: no note, no title, no name. They do see which devices are in, how many notes there are, and who writes when and about how much. Whoever has a link has the key.",
] as const;

const UNSEALED = ["Not encrypted on relays.", "Whoever runs a relay that keeps this notebook can read it."] as const;

function radio(name: string, value: string, label: string): HTMLElement {
  const input = h("input", { type: "radio", name, value, "data-testid": `${name}-${value}` });
  if (value === "read") attribute(input, "checked", true);
  return h("label", { class: "choice" }, input, h("span", {}, label));
}

/** Copies, also where the page may not use the clipboard directly; answers whether it could. */
async function copyText(words: string, field: HTMLInputElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(words);
    return true;
  } catch {
    const before = field.value;
    field.value = words;
    field.focus();
    field.select();
    const isCopied = document.execCommand("copy");
    if (isCopied) field.value = before;
    return isCopied;
  }
}
