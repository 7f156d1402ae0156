// A long document is shown before it is loaded, and can be written in: nothing of that is lost or doubled.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type DocHandle, splice } from "driftline";
import { eventually } from "./support/eventually.js";
import { Profile } from "./support/profile.js";

interface Note {
  body: string;
}

/** So many that loading the document is worth not waiting for. */
const LONG = 5_200;

/** A profile with a long note, and no tab. */
async function longNote(profile: Profile): Promise<{ id: string; body: string }> {
  const { repo } = await profile.open();
  const note = repo.space("s").create<Note>({ body: "" });
  for (let n = 0; n < LONG; n++) note.change((d) => splice(d, ["body"], n, 0, "abcdefgh "[n % 9]));
  await note.whenSaved("device", { timeout: 30_000 });
  const body = note.doc()?.body ?? "";
  note.close();
  await repo.close();
  return { id: note.id, body };
}

function loaded(note: DocHandle<Note>): Promise<void> {
  return eventually("the document is loaded", () => note.isReady && !note.isPreview);
}

test("a long note is on the screen before it is loaded, and what is typed meanwhile is in it once", async () => {
  const profile = new Profile();
  const { id, body } = await longNote(profile);
  const { repo } = await profile.open();
  const note = repo.space("s").find<Note>(id);
  const told: boolean[] = [];
  note.on("preview", (isPreview) => told.push(isPreview));
  await note.whenReady({ timeout: 5_000 });
  assert.equal(note.isPreview, true, "the document itself is not loaded yet");
  assert.equal(note.doc()?.body, body);
  note.change((d) => splice(d, ["body"], 0, 0, "<first>"));
  note.change((d) => splice(d, ["body"], d.body.length, 0, "<last>"));
  assert.equal(note.saved.device, false);
  // A question is about the document, and waits for it.
  const history = await note.history({ limit: 2 });
  await loaded(note);
  assert.deepEqual(told, [true, false]);
  await eventually("the edits are answered", () => note.saved.device);
  assert.equal(note.doc()?.body, `<first>${body}<last>`);
  assert.equal(history.length, 2);
  await repo.close();

  const again = await profile.open();
  const same = again.repo.space("s").find<Note>(id);
  await same.whenReady({ timeout: 5_000 });
  await loaded(same);
  assert.equal(same.doc()?.body, `<first>${body}<last>`);
  await again.repo.close();
});

test("a tab that goes while the document is loaded leaves what was typed to the next, and one that closes it loses nothing", async () => {
  const profile = new Profile();
  const { id, body } = await longNote(profile);
  const [first, second] = [await profile.open(), await profile.open()];
  const note = second.repo.space("s").find<Note>(id);
  await note.whenReady({ timeout: 5_000 });
  const wasPreview = note.isPreview;
  note.change((d) => splice(d, ["body"], 0, 0, "<kept>"));
  first.tab.crash();
  assert.equal(wasPreview, true);
  await eventually("the second leads", () => second.repo.role === "leader");
  await loaded(note);
  await note.whenSaved("device", { timeout: 5_000 });
  assert.equal(note.doc()?.body, `<kept>${body}`);
  note.close();

  const quick = second.repo.space("s").find<Note>(id);
  await quick.whenReady({ timeout: 5_000 });
  quick.change((d) => splice(d, ["body"], 0, 0, "<quick>"));
  quick.close();
  const after = second.repo.space("s").find<Note>(id);
  await after.whenReady({ timeout: 5_000 });
  await eventually("it is there", () => after.doc()?.body === `<quick><kept>${body}`);
  await second.repo.close();
});
