/** Opens the repo and starts the app. */

import "@fontsource-variable/hanken-grotesk/wght.css";
import "@fontsource-variable/literata/wght.css";
import "@fontsource-variable/literata/wght-italic.css";
import "./style/tokens.css";
import "./style/base.css";
import "./style/layout.css";
import "./style/list.css";
import "./style/note.css";
import "./style/panels.css";
import "./style/waterline.css";
import { invitationIn, Repo, ticketIn, type RepoOptions } from "driftline";
import { App } from "./app.ts";
import { forgetHeld, wasHeld } from "./model/held.ts";
import { loadIdentity } from "./model/identity.ts";
import { loadOfflineChoice } from "./model/offline-choice.ts";
import { loadFurtherRelays, relayEndpoint } from "./model/places.ts";
import { keepShell } from "./offline/keep-shell.ts";
import { h } from "./view/dom.ts";
import { restoreForm, type Restoring } from "./view/restore-form.ts";

/** Opening is not worth a word before this, and worth an explanation after that. */
const OPENING_MS = 500;
const SLOW_MS = 10_000;

const root = document.querySelector<HTMLElement>("#app");
if (root) void start(root);

async function start(root: HTMLElement): Promise<void> {
  const storage = localStore();
  const opening = setTimeout(() => root.replaceChildren(waiting("Opening your notes…", false)), OPENING_MS);
  const slow = setTimeout(() => root.replaceChildren(waiting("Still opening your notes. If another tab has them open and hangs, close it.", true)), SLOW_MS);
  try {
    const options: RepoOptions = { name: "driftline-notes", relays: [...new Set([relayEndpoint(new URL(location.href)), ...loadFurtherRelays(storage)])], online: !loadOfflineChoice(storage) };
    const repo = await Repo.open(options);
    clearTimeout(opening);
    clearTimeout(slow);
    const comeBack = async ({ phrase, file }: Restoring): Promise<void> => {
      const restore = { phrase, ...(file === null ? {} : { file }) };
      await repo.checkRestore(restore);
      await repo.close();
      await (await Repo.open({ ...options, relays: [], restore })).close();
      location.reload();
    };
    let isClosed = false;
    repo.on("close", () => (isClosed = true));
    if (repo.storage.isEmpty && repo.storage.durable && wasHeld(storage) && invitationIn(location.href) === undefined && ticketIn(location.href) === undefined) {
      await new Promise<void>((done) => root.replaceChildren(cleared(comeBack, () => (isClosed ? location.reload() : (forgetHeld(storage), done())))));
    }
    const app = new App(repo, storage, loadIdentity(storage), root, comeBack);
    keepShell((reload) => app.offer("A new version of the app is ready.", "Reload", reload));
  } catch (error) {
    console.error(error);
    clearTimeout(opening);
    clearTimeout(slow);
    root.replaceChildren(
      h(
        "main",
        { class: "failure", role: "alert" },
        h("h1", {}, "The notes could not be opened"),
        h("p", {}, `Nothing is lost: what was saved on this device is still there. ${error instanceof Error ? error.message : String(error)}`),
        h("button", { class: "primary", type: "button", onclick: () => location.reload() }, "Try again"),
      ),
    );
  }
}

/** What shows where notes were kept before and none are now. */
function cleared(comeBack: (restoring: Restoring) => Promise<void>, beginAnew: () => void): HTMLElement {
  return h(
    "main",
    { class: "failure", "data-testid": "cleared" },
    h("h1", {}, "This browser was cleared"),
    h("p", {}, "Notes were kept here before, and are not here any more: the browser made room, or someone cleared this site’s data. If you made a backup, or wrote down your recovery phrase, you can bring them back."),
    restoreForm(comeBack, { label: "Begin anew", run: beginAnew }),
  );
}

/** What shows while the engine opens its store. */
function waiting(words: string, isSlow: boolean): HTMLElement {
  return h(
    "main",
    { class: "failure", "aria-busy": "true" },
    h("h1", { class: "opening", role: "status" }, words),
    isSlow && h("button", { class: "primary", type: "button", onclick: () => location.reload() }, "Try again"),
  );
}

/** The page's small store for names and choices; nothing where the browser forbids it. */
function localStore(): Storage | null {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}
