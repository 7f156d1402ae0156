/** Backing up, and coming back: two sheets over the window. */

import type { Backup } from "driftline";
import { h, text } from "./dom.ts";
import { icon } from "./icons.ts";
import { restoreForm, type Restoring } from "./restore-form.ts";

/** What the sheets ask for. */
export interface BackupSheetEvents {
  backup(): Promise<Backup>;
  restore(restoring: Restoring): Promise<void>;
  onCopied(what: string): void;
}

/** The sheets. */
export class BackupSheet {
  readonly element: HTMLDialogElement;
  readonly #events: BackupSheetEvents;
  readonly #heading = h("h2", { id: "backup-title" });
  readonly #body = h("div", { class: "sheet-body sheet-single" });

  constructor(events: BackupSheetEvents) {
    this.#events = events;
    this.element = h(
      "dialog",
      { class: "sheet sheet-narrow", "aria-labelledby": "backup-title", "data-testid": "backup-sheet" },
      h("div", { class: "sheet-head" }, this.#heading, h("button", { class: "bare", type: "button", "aria-label": "Close", onclick: () => this.element.close() }, icon("close"))),
      this.#body,
    );
    // The words do not stay in the page.
    this.element.addEventListener("close", () => this.#body.replaceChildren());
    this.element.addEventListener("click", (event) => {
      if (event.target === this.element) this.element.close();
    });
  }

  /** Offers to back up. */
  backUp(): void {
    text(this.#heading, "Back up this device");
    const error = h("p", { class: "panel-error", role: "alert", hidden: true });
    const button = h("button", { class: "primary", type: "button", "data-testid": "backup-run" }, icon("download"), "Make a backup");
    button.addEventListener("click", () => {
      this.#events.backup().then(
        (backup) => this.#show(backup),
        (reason: unknown) => {
          text(error, `No backup was made: ${reason instanceof Error ? reason.message : String(reason)}.`);
          error.hidden = false;
        },
      );
    });
    this.#body.replaceChildren(
      h("p", {}, "A backup is one file with all notebooks that are on this device, and your key. It can be opened only with 24 words, which you are shown once it is made. Keep them apart from the file."),
      h("p", {}, "With both you get everything back when this browser is cleared or the device is lost. With the words alone you get back who you are, and the relay brings what it has."),
      button,
      error,
    );
    this.element.showModal();
  }

  /** Asks for what a backup gave. */
  restore(): void {
    text(this.#heading, "Bring your notes back");
    this.#body.replaceChildren(restoreForm((restoring) => this.#events.restore(restoring), { label: "Cancel", run: () => this.element.close() }));
    this.element.showModal();
  }

  #show({ file, phrase }: Backup): void {
    const address = URL.createObjectURL(new Blob([file as BlobPart], { type: "application/octet-stream" }));
    const save = h("a", { class: "primary", href: address, download: `driftline-notes-${new Date().toISOString().slice(0, 10)}.backup`, "data-testid": "backup-file" }, icon("download"), "Save the file again");
    save.click();
    setTimeout(() => URL.revokeObjectURL(address), 600_000);
    const words = h("ol", { class: "phrase", "data-testid": "phrase", tabindex: "-1", "aria-label": "Your recovery phrase" }, ...phrase.split(" ").map((word) => h("li", {}, word)));
    text(this.#heading, "Write these words down");
    this.#body.replaceChildren(
      h("p", {}, "The file has been saved. It opens only with these words, in this order. They are the same for every backup of this device. Whoever has them can read your notes and write as you."),
      words,
      h(
        "div",
        { class: "question-buttons" },
        h("button", { class: "quiet", type: "button", onclick: () => void navigator.clipboard?.writeText(phrase).then(() => this.#events.onCopied("Recovery phrase")) }, icon("copy"), "Copy the words"),
        save,
        h("button", { class: "quiet", type: "button", "data-testid": "backup-done", onclick: () => this.element.close() }, "I have them"),
      ),
    );
    words.focus();
  }
}
