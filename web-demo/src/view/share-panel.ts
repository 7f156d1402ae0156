/** Sharing is giving a link away: whoever has it can read and write the notebook. */

import { h } from "./dom.ts";
import { icon } from "./icons.ts";
import { opens } from "./popover.ts";

/** The links of the moment. */
export interface ShareLinks {
  notebook: string;
  note: string | null;
}

/** The button, and the panel with the links. */
export class SharePanel {
  readonly button = h("button", { class: "primary", type: "button", "data-testid": "share" }, icon("share"), h("span", { class: "label" }, "Share"));
  readonly panel: HTMLElement;

  constructor(links: () => ShareLinks, onCopied: (what: string) => void) {
    const field = h("input", { type: "text", readonly: true, id: "share-link", "data-testid": "share-link", onfocus: () => field.select() });
    const copy = (what: string, link: () => string | null) => async () => {
      const text = link();
      if (text !== null && (await copyText(text, field))) {
        this.panel.hidePopover();
        onCopied(what);
      }
    };
    const noteButton = h("button", { class: "quiet", type: "button", onclick: copy("Link to this note", () => links().note) }, icon("copy"), "Copy link to this note");
    this.panel = h(
      "div",
      { class: "share-panel" },
      h("h2", {}, "Share this notebook"),
      h("p", {}, "Anyone with this link can read and write all of its notes. There is nothing to sign up for."),
      h("label", { for: "share-link", class: "visually-hidden" }, "Link to this notebook"),
      h(
        "div",
        { class: "field-row" },
        field,
        h("button", { class: "primary", type: "button", "data-testid": "copy-link", onclick: copy("Link to this notebook", () => links().notebook) }, icon("copy"), "Copy"),
      ),
      noteButton,
    );
    opens(this.button, this.panel, "Share", () => {
      const { notebook, note } = links();
      field.value = notebook;
      noteButton.hidden = note === null;
    });
  }
}

/** Copies, also where the page may not use the clipboard directly; answers whether it could. */
async function copyText(text: string, field: HTMLInputElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const before = field.value;
    field.value = text;
    field.focus();
    field.select();
    const isCopied = document.execCommand("copy");
    if (isCopied) field.value = before;
    return isCopied;
  }
}
