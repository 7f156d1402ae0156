// Sealed spaces, as an app sees them: founded and shared, joined before the key has come, closed to who is shut out, and nothing of them
// at a relay; on real engines with a real one for a relay between them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { AccessError, isOwnedSpace, isSealedSpace, Repo, type RepoOptions, splice } from "driftline";
import { eventually } from "./support/eventually.js";
import { Profile } from "./support/profile.js";
import { PipeRelay } from "./support/relay.js";

interface Note {
  body: string;
}

function open(relay: PipeRelay, options: RepoOptions = {}): Promise<Repo> {
  return Repo.open({ storage: "memory", relays: [relay.endpoint], ...options });
}

test("a sealed space is its founder's, says that it is sealed, and others come in by a link; who is shut out reads nothing later", async () => {
  const relay = new PipeRelay("sealed");
  const [ada, bob, cat] = await Promise.all([open(relay), open(relay), open(relay)]);
  const mine = await ada.foundSpace({ sealed: true });
  assert.deepEqual([mine.isSealed, mine.isOwned, isSealedSpace(mine.id), isOwnedSpace(mine.id)], [true, true, true, true]);
  assert.deepEqual(mine.access, { state: "owner", level: "admin", waitsForKey: false, mayWrite: true, mayShare: true });
  const clear = await ada.foundSpace();
  assert.deepEqual([clear.isSealed, clear.isOwned, ada.space("harbour").isSealed], [false, true, false]);

  const note = mine.create<Note>({ body: "Low tide" });
  const link = await mine.share({ level: "write", note: "for Bob" });
  const yours = await bob.join(link, { note: "Bob" });
  const same = yours.find<Note>(note.id);
  await same.whenReady({ timeout: 5_000 });
  await eventually("Bob may write", () => yours.access.mayWrite);
  assert.deepEqual([yours.isSealed, yours.access.waitsForKey], [true, false]);
  same.change((d) => splice(d, ["body"], 8, 0, " at noon"));
  await eventually("it is read", () => note.doc()?.body === "Low tide at noon");
  mine.presence.set({ name: "Ada" });
  await eventually("who is there is seen", () => yours.presence.states.length === 1);
  assert.ok((await mine.members()).some((member) => member.note === "Bob"));

  // By the id alone nobody comes in.
  const hers = cat.space(mine.id);
  await hers.whenReady();
  assert.equal(hers.access.state, "none");
  assert.throws(() => hers.create<Note>({ body: "hers" }), /has not let this device in/);

  await mine.revoke(bob.peerId);
  await eventually("he is told", () => yours.access.state === "revoked");
  note.change((d) => splice(d, ["body"], 0, 0, "Later: "));
  await note.whenSaved({ relays: 1 }, { timeout: 5_000 });
  assert.deepEqual([note.doc()?.body, same.doc()?.body], ["Later: Low tide at noon", "Low tide at noon"]);
  // And who comes in after that reads all of it.
  const theirs = await cat.join(await mine.share({ level: "read" }));
  const third = theirs.find<Note>(note.id);
  await third.whenReady({ timeout: 5_000 });
  assert.equal(third.doc()?.body, "Later: Low tide at noon");
  await Promise.all([ada.close(), bob.close(), cat.close()]);
  relay.stop();
});

test("who has joined waits for the key until it is here: writing is refused before anything changes, and then goes on", async () => {
  const relay = new PipeRelay("key");
  const profile = new Profile();
  const ada = await open(relay);
  const mine = await ada.foundSpace({ sealed: true });
  const note = mine.create<Note>({ body: "Low tide" });
  const link = await mine.share({ level: "write" });
  await note.whenSaved({ relays: 1 }, { timeout: 5_000 });

  const [first, second] = [await profile.open({ relays: [relay.endpoint], online: false }), await profile.open({ relays: [relay.endpoint], online: false })];
  const yours = await second.repo.join(link, { note: "Bob" });
  assert.deepEqual([yours.access.state, yours.access.level, yours.access.waitsForKey, yours.access.mayWrite], ["member", "write", true, false]);
  const error = (() => {
    try {
      yours.create<Note>({ body: "unread" });
    } catch (thrown) {
      return thrown;
    }
    return undefined;
  })();
  assert.ok(error instanceof AccessError);
  assert.match(error.message, /encrypted, and its key has not reached this device/);
  assert.equal(error.access.waitsForKey, true);
  assert.deepEqual(yours.documents, []);
  // In the moment before the page hears that there is no key it still takes edits: they wait for it.
  const told = yours.access;
  (yours as { access: typeof told }).access = { ...told, waitsForKey: false, mayWrite: true };
  const early = yours.create<Note>({ body: "early" });
  (yours as { access: typeof told }).access = told;
  const same = yours.find<Note>(note.id);
  yours.presence.set({ name: "Bob" });
  const heard: boolean[] = [];
  yours.on("access", ({ waitsForKey }) => heard.push(waitsForKey));
  first.repo.setOnline(true);
  await eventually("the key comes, and is told", () => !yours.access.waitsForKey);
  assert.deepEqual([heard, yours.access.mayWrite], [[false], true]);
  await same.whenReady({ timeout: 5_000 });
  await eventually("he is seen, who showed himself before", () => mine.presence.states.length === 1);
  same.change((d) => splice(d, ["body"], 8, 0, " at noon"));
  await eventually("it is read", () => note.doc()?.body === "Low tide at noon");
  const hers = mine.find<Note>(early.id);
  await eventually("what was written early comes after it", () => hers.doc()?.body === "early");
  await Promise.all([first.repo.close(), second.repo.close()]);

  // It is kept, and found again with no network at all.
  const third = await profile.open({ online: false });
  const kept = third.repo.space(mine.id);
  await kept.whenReady();
  assert.deepEqual([kept.access.waitsForKey, kept.access.mayWrite], [false, true]);
  const again = kept.find<Note>(note.id);
  await again.whenReady({ timeout: 5_000 });
  assert.equal(again.doc()?.body, "Low tide at noon");
  again.change((d) => splice(d, ["body"], 0, 0, "Kept: "));
  await again.whenSaved("device", { timeout: 5_000 });
  await Promise.all([third.repo.close(), ada.close()]);
  relay.stop();
});

test("who came in while the owner was away and shut someone else out is given the new key once the owner is back, and nothing typed meanwhile is lost", async () => {
  const relay = new PipeRelay("epoch");
  const [ada, bob, cat] = await Promise.all([open(relay), open(relay), open(relay)]);
  const mine = await ada.foundSpace({ sealed: true });
  const note = mine.create<Note>({ body: "Low tide" });
  await cat.join(await mine.share({ level: "write", note: "for Cat" }));
  const link = await mine.share({ level: "write", note: "for Bob" });
  await eventually("Cat is in", () => ada.connections[0]?.state === "connected");
  for (const end = Date.now() + 5_000; !(await mine.members()).some((member) => member.key === cat.peerId); ) {
    assert.ok(Date.now() < end);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await note.whenSaved({ relays: 1 }, { timeout: 5_000 });
  ada.setOnline(false);
  const yours = await bob.join(link, { note: "Bob" });
  const same = yours.find<Note>(note.id);
  await same.whenReady({ timeout: 5_000 });
  same.change((d) => splice(d, ["body"], 8, 0, " at noon"));
  await same.whenSaved({ relays: 1 }, { timeout: 5_000 });
  await mine.revoke(cat.peerId);
  note.change((d) => splice(d, ["body"], 0, 0, "Later: "));
  ada.setOnline(true);
  // He goes on typing, whatever key leads at the moment.
  let typed = "";
  for (const end = Date.now() + 5_000; same.doc()?.body.startsWith("Later: ") !== true; ) {
    assert.ok(Date.now() < end, "what the owner wrote under the new key is read");
    if (yours.access.mayWrite) {
      same.change((d) => splice(d, ["body"], d.body.length, 0, "x"));
      typed += "x";
    }
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  const wanted = `Later: Low tide at noon${typed}`;
  await eventually("all of it is in both", () => [note, same].every((each) => each.doc()?.body === wanted));
  await Promise.all([ada.close(), bob.close(), cat.close()]);
  relay.stop();
});
