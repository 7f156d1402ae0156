import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { type TestContext, after, before, test } from "node:test";
import type { Notes } from "./harness/notes.ts";
import { Profile } from "./harness/profile.ts";
import { Relay } from "./harness/relay.ts";

/** What browsers clear when room gets short, or after weeks without a visit. */
const STORED = "file_systems,indexeddb,local_storage,service_workers,cache_storage";

let relay: Relay;
before(async () => void (relay = await Relay.start()));
after(() => relay.close());

interface BackedUp {
  mara: Profile;
  notes: Notes;
  phrase: string;
  /** Where the saved file is. */
  file: string;
  /** The note's address. */
  address: string;
}

/** A notebook with a note, and a backup of it. */
async function backedUp(t: TestContext): Promise<BackedUp> {
  const mara = await Profile.open(t, { acceptDownloads: true });
  const notes = await mara.tab(relay.url);
  await notes.write("Logbook", "Day one.");
  await notes.waitForRelay();
  await notes.get("notebook").click();
  await notes.get("back-up").click();
  const saving = notes.page.waitForEvent("download");
  await notes.get("backup-run").click();
  const saved = await saving;
  assert.match(saved.suggestedFilename(), /^driftline-notes-\d{4}-\d\d-\d\d\.backup$/);
  const words = await notes.get("phrase").locator("li").allInnerTexts();
  assert.equal(words.length, 24);
  assert.ok((await readFile(await saved.path())).subarray(0, 16).equals(Buffer.from("driftline backup")));
  await notes.get("backup-done").click();
  // The words do not stay in the page.
  await notes.get("phrase").waitFor({ state: "detached" });
  return { mara, notes, phrase: words.join(" "), file: await saved.path(), address: notes.page.url() };
}

/** Clears what this site stored, as the browser does it: behind the page's back. */
async function clear(notes: Notes, storageTypes: string): Promise<void> {
  await notes.page.goto("about:blank");
  const tools = await notes.page.context().newCDPSession(notes.page);
  await tools.send("Storage.clearDataForOrigin", { origin: new URL(relay.url).origin, storageTypes });
  await tools.detach();
}

test("The browser clears everything. The page says so, and brings it all back from the backup and the phrase, without a relay.", { timeout: 90_000 }, async (t) => {
  const { notes, phrase, file } = await backedUp(t);
  await clear(notes, STORED);
  await notes.page.goto(relay.url);
  await notes.get("cleared").waitFor();
  await notes.get("restore-phrase").fill(phrase.replace(/ \w+$/, " tidal"));
  await notes.get("restore-file").setInputFiles(file);
  await notes.get("restore-run").click();
  await notes.until("what is wrong is said", () => notes.get("restore-error").innerText(), (words) => /^Word 24 of the recovery phrase is not a word of the list/.test(words));
  await relay.kill();
  await notes.get("restore-phrase").fill(phrase);
  // The page itself comes from the relay: it is back before it is needed again.
  await Promise.all([notes.get("restore-run").click(), relay.start()]);
  await notes.open("Logbook");
  await notes.waitForText("it is there", (text) => text === "Day one.");
  await notes.append(" Day two.");
  await notes.waitForRelay();
  assert.match(await notes.share("read"), /#join=/, "it is the owner's");
  // It is not asked about again.
  await notes.reload();
  await notes.open("Logbook");
  await notes.waitForText("and stays", (text) => text === "Day one. Day two.");
});

test("Nothing is left but the notebook's address and the phrase: who one was comes back, and the relay brings the notes.", { timeout: 90_000 }, async (t) => {
  const { notes, phrase, address } = await backedUp(t);
  await notes.append(" After the backup.");
  await notes.waitForRelay();
  await clear(notes, "all");
  await notes.page.goto(address);
  await notes.until("it is a stranger's", () => notes.get("access").innerText(), (words) => /has not let this device in/.test(words));
  await notes.get("create-first").click();
  await notes.get("restore-phrase").fill(phrase);
  await notes.get("restore-run").click();
  await notes.page.locator(".note", { hasText: "Logbook" }).waitFor();
  await notes.open("Logbook");
  await notes.waitForText("the relay brought it", (text) => text === "Day one. After the backup.");
  assert.equal(await notes.get("access").isVisible(), false);
  await notes.append(" Mine again.");
  await notes.waitForRelay();
});

test("Whoever begins anew after the browser was cleared has a new notebook, and is not asked again.", { timeout: 60_000 }, async (t) => {
  const { notes } = await backedUp(t);
  await clear(notes, STORED);
  await notes.page.goto(relay.url);
  await notes.get("restore-not").click();
  await notes.until("a new notebook", () => notes.text("title"), (title) => title === "Welcome aboard");
  await notes.waitForRelay();
  await notes.reload();
  await notes.page.locator(".note", { hasText: "Welcome aboard" }).waitFor();
});

test("A second tab of a browser in which the first has just begun is not taken for one that was cleared.", { timeout: 60_000 }, async (t) => {
  const mara = await Profile.open(t);
  const first = await mara.tab(relay.url);
  await first.write("Begun", "Here.");
  await first.waitForRelay();
  const second = await mara.tab(first.page.url());
  await second.waitForText("it is there", (text) => text === "Here.");
});

test("Where notes are kept already nothing is restored over them.", { timeout: 60_000 }, async (t) => {
  const { notes, phrase, file } = await backedUp(t);
  await notes.get("notebook").click();
  await notes.get("come-back").click();
  await notes.get("restore-phrase").fill(phrase);
  await notes.get("restore-file").setInputFiles(file);
  await notes.get("restore-run").click();
  await notes.until("it is said", () => notes.get("restore-error").innerText(), (words) => /kept here already/.test(words));
  await notes.get("restore-not").click();
  await notes.append(" Still open.");
  await notes.waitForRelay();
});
