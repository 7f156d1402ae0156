import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, after, before, test } from "node:test";
import type { Notes } from "./harness/notes.ts";
import { Profile } from "./harness/profile.ts";
import { Relay } from "./harness/relay.ts";

let relay: Relay;
before(async () => void (relay = await Relay.start()));
after(() => relay.close());

/** Everything that lies in a relay's folder. */
async function keptBytes(folder: string): Promise<Buffer> {
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  return Buffer.concat(await Promise.all(files.map((file) => readFile(join(file.parentPath, file.name)))));
}

/** Puts a word at the end of the open note in one change, which lies in a store in one piece where it is not encrypted. */
async function paste(notes: Notes, word: string): Promise<void> {
  await notes.page.locator(".body-editor .cm-content").press("ControlOrMeta+End");
  await notes.page.keyboard.insertText(word);
}

async function rename(notes: Notes, name: string): Promise<void> {
  await notes.get("notebook").click();
  await notes.get("notebook-name").fill(name);
  await notes.page.keyboard.press("Enter");
}

interface Shared {
  left: Notes;
  right: Notes;
}

/** Someone's new notebook with a note, and someone else's browser that came in by a link to write. */
async function shared(t: TestContext, title: string, body: string): Promise<Shared> {
  const [mara, ines] = await Promise.all([Profile.open(t), Profile.open(t)]);
  const left = await mara.tab(relay.url);
  await left.write(title, body);
  await left.waitForRelay();
  const right = await ines.tab(await left.share("write", "", "Bartholomea"));
  await right.open(title);
  await right.waitForText("the note has arrived", (text) => text === body);
  await right.until("it may be written", () => right.get("create").isVisible(), (is) => is);
  return { left, right };
}

const accessWords = (notes: Notes) => async (): Promise<string> => ((await notes.get("access").isVisible()) ? notes.get("access").innerText() : "");

test("A new notebook is encrypted, and says so. Two write in it through a relay, and nothing that they typed is in the relay's folder.", { timeout: 60_000 }, async (t) => {
  const { left, right } = await shared(t, "Sluice gate readings", "quinquereme ");
  await left.place(0);
  await Promise.all([left.page.keyboard.type("Both at once: "), paste(right, "palimpsest ")]);
  await left.waitForText("the left reads all of it", (text) => text === "Both at once: quinquereme palimpsest ");
  await paste(left, "zeugmatic");
  await right.waitForText("and the right", (text) => text === "Both at once: quinquereme palimpsest zeugmatic");
  await rename(left, "Winterbottom Ledger");
  await right.until("the name has come", () => right.get("notebook").innerText(), (name) => name.trim() === "Winterbottom Ledger");
  await left.get("share").click();
  assert.match(await left.get("seal").innerText(), /^End-to-end encrypted\. .*cannot read.*They do see which devices are in/s);
  await left.page.keyboard.press("Escape");
  for (const notes of [left, right]) await notes.waitForRelay();

  // An open notebook on the same relay says the opposite, and shows that the search finds what is there.
  const open = await (await Profile.open(t)).tab(relay.openNotebook());
  await open.write("In clear", "onomatopoeia");
  await rename(open, "Gooseberry Almanac");
  await open.get("share").click();
  assert.match(await open.get("seal").innerText(), /^Not encrypted on relays\./);
  await open.page.keyboard.press("Escape");
  await open.waitForRelay();
  const kept = await keptBytes(relay.data);
  for (const each of ["onomatopoeia", "Gooseberry Almanac"]) assert.ok(kept.includes(each), `what is written openly is found: ${each}`);
  const words = ["quinquereme", "palimpsest", "zeugmatic", "Sluice gate readings", "Winterbottom Ledger", "Bartholomea", "Welcome aboard"];
  assert.deepEqual(words.filter((each) => kept.includes(each)), [], "the relay's folder has none of it");
});

test("Both go offline in an encrypted notebook, change the same line, load the page again, and come back: nothing is lost.", { timeout: 60_000 }, async (t) => {
  const { left, right } = await shared(t, "Plans", "We meet at six.");
  for (const notes of [left, right]) {
    await notes.workOffline(true);
    await notes.waitForPhase(["offline"]);
  }
  await left.place("We meet ".length);
  await left.page.keyboard.type("by the pier ");
  await right.append(" Bring tea.");
  await right.reload();
  await right.waitForText("the right kept its words", (text) => text === "We meet at six. Bring tea.");
  for (const notes of [left, right]) await notes.workOffline(false);
  const wanted = "We meet by the pier at six. Bring tea.";
  await left.waitForText("the left has both", (text) => text === wanted);
  await right.waitForText("the right has both", (text) => text === wanted);
});

test("Someone is removed from an encrypted notebook: their page reads nothing that is written later, also after a reload, and whoever is still in reads it.", { timeout: 60_000 }, async (t) => {
  const { left, right } = await shared(t, "Crew", "One line.");
  const third = await (await Profile.open(t)).tab(await left.share("read"));
  await third.open("Crew");
  await left.get("share").click();
  await left.get("members").locator("li", { hasText: "can write" }).filter({ hasNotText: "Link" }).getByTestId("remove").click();
  await left.get("remove-really").click();
  await right.until("it is said", accessWords(right), (words) => /^Removed/.test(words));
  await left.page.keyboard.press("Escape");
  await left.append(" Later.");
  await third.waitForText("who is still in reads it", (text) => text === "One line. Later.");
  assert.equal(await right.text(), "One line.");
  await right.reload();
  await right.until("it is still said", accessWords(right), (words) => /^Removed/.test(words));
  await right.open("Crew");
  await right.waitForText("what was here is kept", (text) => text === "One line.");
  await left.append(" Last.");
  await third.waitForText("and goes on reading", (text) => text === "One line. Later. Last.");
  assert.equal(await right.text(), "One line.");
});

test("A device that joins without a network waits for the key, and says so; once it is connected it reads and writes.", { timeout: 60_000 }, async (t) => {
  const [mara, ines] = await Promise.all([Profile.open(t), Profile.open(t)]);
  const left = await mara.tab(relay.url);
  await left.write("Tides", "High at noon.");
  await left.waitForRelay();
  const link = await left.share("write");
  const right = await ines.tab(relay.url);
  await right.workOffline(true);
  await right.waitForPhase(["offline"]);
  await right.page.goto(link);
  await right.until("it is said", accessWords(right), (words) => /^Waiting for the key\. This notebook is encrypted, and its key has not reached this device/.test(words));
  assert.equal(await right.phase(), "apart");
  assert.equal(await right.get("create").isVisible(), false);
  await right.workOffline(false);
  await right.until("the key is here", accessWords(right), (words) => words === "");
  await right.open("Tides");
  await right.waitForText("it is read", (text) => text === "High at noon.");
  await right.append(" Low at six.");
  await left.waitForText("and written", (text) => text === "High at noon. Low at six.");
});
