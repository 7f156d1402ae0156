// A device that is gone comes back from its recovery phrase: with a backup with all that it had, and without one from the relay.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Backup, Repo, type RestoreOptions, splice } from "driftline";
import { eventually } from "./support/eventually.js";
import { Profile } from "./support/profile.js";
import { PipeRelay } from "./support/relay.js";

interface Note {
  body: string;
}

/** A profile with a note in a space of its own, its backup, and what it is called. */
async function lost(relay: PipeRelay): Promise<{ backup: Backup; space: string; note: string; peerId: string; bob: Repo }> {
  const profile = new Profile();
  const { repo } = await profile.open({ relays: [relay.endpoint] });
  assert.equal(repo.storage.isEmpty, true);
  const space = await repo.foundSpace();
  const note = space.create<Note>({ body: "kept" });
  const bob = await Repo.open({ storage: "memory", relays: [relay.endpoint] });
  await bob.join(await space.share({ level: "write" }));
  await note.whenSaved({ relays: 1 }, { timeout: 5_000 });
  const backup = await repo.backup();
  note.change((d) => splice(d, ["body"], 4, 0, ", and later"));
  await note.whenSaved({ relays: 1 }, { timeout: 5_000 });
  const { peerId } = repo;
  await repo.close();
  return { backup, space: space.id, note: note.id, peerId, bob };
}

test("a backup and its phrase bring a device back, offline, as the owner it was; what it lacks comes from the relay", async () => {
  const relay = new PipeRelay("backup");
  const { backup, space, note, peerId, bob } = await lost(relay);
  assert.equal(backup.phrase.split(" ").length, 24);
  const profile = new Profile();
  const { repo } = await profile.open({ restore: backup });
  assert.equal(repo.peerId, peerId);
  assert.equal(repo.storage.isEmpty, false);
  assert.deepEqual(await repo.heldSpaces(), [space]);
  const own = repo.space(space);
  await own.whenReady();
  assert.equal(own.access.state, "owner");
  const kept = own.find<Note>(note);
  await kept.whenReady({ timeout: 5_000 });
  assert.equal(kept.doc()?.body, "kept");
  kept.change((d) => splice(d, ["body"], 0, 0, "Still "));
  repo.addRelay(relay.endpoint);
  await eventually("both are merged", () => kept.doc()?.body === "Still kept, and later");
  await kept.whenSaved({ relays: 1 }, { timeout: 5_000 });
  const theirs = bob.space(space).find<Note>(note);
  await eventually("and others see it", () => theirs.doc()?.body === "Still kept, and later");
  await repo.close();
  // It is stored, and not restored a second time.
  const again = await profile.open();
  assert.equal(again.repo.peerId, peerId);
  const same = again.repo.space(space).find<Note>(note);
  await same.whenReady({ timeout: 5_000 });
  assert.equal(same.doc()?.body, "Still kept, and later");
  await Promise.all([again.repo.close(), bob.close()]);
  relay.stop();
});

test("the phrase alone brings back who a device was, and the relay brings the rest", async () => {
  const relay = new PipeRelay("phrase");
  const { backup, space, note, peerId, bob } = await lost(relay);
  const profile = new Profile();
  const { repo } = await profile.open({ relays: [relay.endpoint], restore: { phrase: ` ${backup.phrase.toUpperCase()}\n` } });
  assert.deepEqual([repo.peerId, repo.storage.isEmpty], [peerId, true]);
  const own = repo.space(space);
  await eventually("it is the owner again", () => own.access.state === "owner");
  const kept = own.find<Note>(note);
  await kept.whenReady({ timeout: 5_000 });
  assert.equal(kept.doc()?.body, "kept, and later");
  assert.ok(await own.share({ level: "read" }));
  await Promise.all([repo.close(), bob.close()]);
  relay.stop();
});

test("what cannot be restored is refused with a sentence, and nothing is changed", async () => {
  const relay = new PipeRelay("refused");
  const { backup, bob } = await lost(relay);
  await bob.close();
  const profile = new Profile();
  const first = await profile.open();
  const { peerId } = first.repo;
  const refused = (restore: RestoreOptions, why: RegExp): Promise<void> => assert.rejects(profile.open({ restore }), why);
  await refused(backup, /another tab/);
  await first.repo.close();
  const words = backup.phrase.split(" ");
  await refused({ ...backup, phrase: words.slice(1).join(" ") }, /has 24 words, and this has 23/);
  await refused({ ...backup, phrase: [...words.slice(1), "tidal"].join(" ") }, /word 24 .* is not a word of the list/);
  await refused({ ...backup, phrase: `${"abandon ".repeat(23)}art` }, /not made under this recovery phrase/);
  await refused({ ...backup, file: backup.file.slice(0, -9) }, /damaged/);
  await refused({ ...backup, file: new Uint8Array(400) }, /not a Driftline backup/);
  await assert.rejects(Repo.open({ storage: "memory", restore: backup }), /Nothing is kept/);
  const fourth = await new Profile().open();
  await fourth.repo.checkRestore(backup);
  await assert.rejects(fourth.repo.checkRestore({ phrase: "sea" }), /24 words/);
  await fourth.repo.close();
  const memory = await Repo.open({ storage: "memory" });
  await assert.rejects(memory.backup(), /nothing is kept/);
  await memory.close();
  const second = await profile.open();
  assert.equal(second.repo.peerId, peerId, "it is who it was");
  const note = second.repo.space("s").create<Note>({ body: "new" });
  await note.whenSaved("device", { timeout: 5_000 });
  await second.repo.close();
  await refused(backup, /documents are kept here already/);
  const third = await profile.open();
  await assert.rejects(third.repo.checkRestore(backup), /documents are kept here already/);
  assert.equal(third.repo.storage.isEmpty, false);
  await third.repo.close();
  relay.stop();
});
