/** The way back after a browser was cleared: a recovery phrase, and a backup's file if there is one. */

import { h, text } from "./dom.ts";

/** What was entered. */
export interface Restoring {
  phrase: string;
  file: Uint8Array | null;
}

/** The form. `run` fails with a sentence for people. */
export function restoreForm(run: (restoring: Restoring) => Promise<void>, instead: { label: string; run(): void }): HTMLFormElement {
  const phrase = h("textarea", { id: "restore-phrase", rows: "4", autocomplete: "off", autocapitalize: "none", spellcheck: "false", required: true, "data-testid": "restore-phrase" });
  const file = h("input", { type: "file", id: "restore-file", "data-testid": "restore-file" });
  const error = h("p", { class: "panel-error", role: "alert", hidden: true, "data-testid": "restore-error" });
  const button = h("button", { class: "primary", type: "submit", "data-testid": "restore-run" }, "Bring them back");
  const form = h(
    "form",
    { class: "restore-form" },
    h("label", { for: "restore-phrase" }, "Your recovery phrase: 24 words"),
    phrase,
    h("label", { for: "restore-file" }, "The backup’s file, if you have it"),
    file,
    h("p", { class: "panel-footnote" }, "Without the file, your notebooks come back from the relay, each when you open it by its address."),
    error,
    h("div", { class: "question-buttons" }, button, h("button", { class: "quiet", type: "button", "data-testid": "restore-not", onclick: () => instead.run() }, instead.label)),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    button.disabled = true;
    error.hidden = true;
    const chosen = file.files?.[0];
    const bytes = chosen === undefined ? Promise.resolve(null) : chosen.arrayBuffer().then((buffer) => new Uint8Array(buffer));
    bytes
      .then((read) => run({ phrase: phrase.value, file: read }))
      .catch((reason: unknown) => {
        const why = reason instanceof Error ? reason.message : String(reason);
        text(error, `${why.charAt(0).toUpperCase()}${why.slice(1)}.`);
        error.hidden = false;
      })
      .finally(() => (button.disabled = false));
  });
  return form;
}
