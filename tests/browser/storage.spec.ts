import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { alteredSite } from "./harness/altered-site.ts";
import { Profile } from "./harness/profile.ts";
import { Relay } from "./harness/relay.ts";

let relay: Relay;
before(async () => void (relay = await Relay.start()));
after(() => relay.close());

/** Browsers without the private file system: it is taken away before any script of the app's runs, in the worker too. */
const NO_OPFS = "delete StorageManager.prototype.getDirectory; delete globalThis.FileSystemFileHandle;";
/** Browsers that allow no storage at all. */
const NO_STORAGE = `${NO_OPFS} Object.defineProperty(globalThis, "indexedDB", { value: undefined, configurable: true });`;

/** Puts a script before every other. */
const first = (script: string) => (path: string, text: string): string => (path.endsWith(".js") ? `${script}\n${text}` : text);

test("Without the private file system the notes are kept in the browser's database, and are there after a reload.", { timeout: 60_000 }, async (t) => {
  const mara = await Profile.open(t);
  const notes = await mara.tab(await alteredSite(t, relay, first(NO_OPFS)));
  await notes.write("Second rung", "Kept in IndexedDB.");
  await notes.get("status").click();
  await notes.until("the details say where", () => notes.get("status-details").innerText(), (words) => /IndexedDB/.test(words));
  await notes.page.keyboard.press("Escape");
  await notes.workOffline(true);
  await notes.page.locator(".body-editor .cm-content").press("ControlOrMeta+End");
  await notes.page.keyboard.type(" Also this.");
  await notes.until("it is kept", () => notes.get("status").innerText(), (words) => /saved on this device/.test(words));
  await notes.reload();
  await notes.open("Second rung");
  await notes.waitForText("it is there", (text) => text === "Kept in IndexedDB. Also this.");
});

test("A browser that stores nothing: the app says so in plain words, works all the same, and shares through the relay.", { timeout: 60_000 }, async (t) => {
  const mara = await Profile.open(t);
  const notes = await mara.tab(`${await alteredSite(t, relay, first(NO_STORAGE))}#on-water`);
  await notes.write("Written on water", "Gone with the tab, but not from the relay.");
  await notes.until("the status line warns", () => notes.get("status").innerText(), (words) => /not on this device|this tab only/.test(words));
  await notes.get("status").click();
  assert.match(await notes.get("status-details").innerText(), /is gone when this page is closed/);
  await notes.page.keyboard.press("Escape");
  await notes.waitForRelay();
  const ines = await Profile.open(t);
  const other = await ines.tab(notes.page.url());
  await other.waitForText("someone else has it", (text) => text === "Gone with the tab, but not from the relay.");
});

test("The device's key is sealed by one that no script can read, and is found again; where it is gone, that is said and what is stored stays.", { timeout: 60_000 }, async (t) => {
  const mara = await Profile.open(t);
  const notes = await mara.tab(relay.url);
  await notes.write("Sealed", "Mine.");
  await notes.waitForRelay();
  const sealed = (isTakenAway: boolean): Promise<unknown> =>
    notes.page.evaluate(
      (isTakenAway) =>
        new Promise((resolve) => {
          const request = indexedDB.open("driftline keys");
          request.onsuccess = () => {
            const keys = request.result.transaction("keys", "readwrite").objectStore("keys");
            const got = keys.get("driftline-notes");
            got.onsuccess = () => {
              const held = got.result as { by: CryptoKey; isAlone: boolean };
              if (isTakenAway) keys.delete("driftline-notes");
              request.result.close();
              resolve({ extractable: held.by.extractable, algorithm: held.by.algorithm.name, isAlone: held.isAlone });
            };
          };
        }),
      isTakenAway,
    );
  assert.deepEqual(await sealed(false), { extractable: false, algorithm: "AES-GCM", isAlone: true });
  await notes.reload();
  await notes.open("Sealed");
  await notes.append(" Still mine.");
  await notes.waitForRelay();
  await sealed(true);
  await notes.reload();
  await notes.get("status").click();
  await notes.until("it is said", () => notes.get("status-details").innerText(), (words) => /cannot be used: the key of this device is gone/.test(words));
});
