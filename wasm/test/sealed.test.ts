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

test("who came in while the owner was away lacks the key that the owner began then, until the owner sees them; what was typed meanwhile is not lost", async () => {
  const [relay, elsewhere] = [new PipeRelay("epoch"), new PipeRelay("elsewhere", 97)];
  const [ada, bob, cat, dan] = await Promise.all([open(relay), open(relay), open(relay), open(relay)]);
  const mine = await ada.foundSpace({ sealed: true });
  const note = mine.create<Note>({ body: "Low tide" });
  const link = await mine.share({ level: "write", note: "for Bob" });
  await cat.join(await mine.share({ level: "write" }));
  const dans = await dan.join(await mine.share({ level: "read" }));
  const isMember = async (key: string, state: string): Promise<boolean> => (await dans.members()).some((member) => member.key === key && member.state === state);
  const reached = async (story: string, holds: () => Promise<boolean>): Promise<void> => {
    for (const end = Date.now() + 5_000; !(await holds()); ) {
      assert.ok(Date.now() < end, story);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  await reached("Dan knows of Cat", () => isMember(cat.peerId, "good"));
  await reached("and so does Ada", async () => (await mine.members()).filter(({ isLink, state }) => !isLink && state === "good").length === 3);
  await note.whenSaved({ relays: 1 }, { timeout: 5_000 });

  // Bob comes in while Ada and Dan are elsewhere, where Ada shuts Cat out without knowing of Bob. Dan brings the news, and Ada stays away.
  for (const repo of [ada, dan]) {
    repo.removeRelay(relay.endpoint);
    repo.addRelay(elsewhere.endpoint);
  }
  await eventually("both have left", () => [ada, dan].every((repo) => repo.connections.every(({ endpoint, state }) => endpoint === elsewhere.endpoint && state === "connected")));
  const yours = await bob.join(link, { note: "Bob" });
  const same = yours.find<Note>(note.id);
  await same.whenReady({ timeout: 5_000 });
  await eventually("he may write", () => yours.access.mayWrite);
  same.change((d) => splice(d, ["body"], 8, 0, " at noon"));
  await same.whenSaved({ relays: 1 }, { timeout: 5_000 });
  const heard: boolean[] = [];
  yours.on("access", ({ waitsForKey }) => heard.push(waitsForKey));
  await mine.revoke(cat.peerId);
  note.change((d) => splice(d, ["body"], 0, 0, "Later: "));
  await reached("Dan knows that Cat is out", () => isMember(cat.peerId, "revoked"));
  dan.addRelay(relay.endpoint);
  await eventually("Bob waits for the key", () => yours.access.waitsForKey);
  assert.throws(() => same.change((d) => splice(d, ["body"], 0, 0, "x")), /its key has not reached this device/);
  assert.equal(same.doc()?.body, "Low tide at noon");

  // In the moment before the page hears that there is no key it still takes edits: they wait for it.
  const told = yours.access;
  (yours as { access: typeof told }).access = { ...told, waitsForKey: false, mayWrite: true };
  same.change((d) => splice(d, ["body"], d.body.length, 0, ", early"));
  (yours as { access: typeof told }).access = told;
  // Nothing tells that the engine has refused it: but another of its answers comes after that.
  await same.history();
  assert.equal(same.doc()?.body, "Low tide at noon, early");

  ada.addRelay(relay.endpoint);
  await eventually("the key comes", () => yours.access.mayWrite);
  assert.deepEqual(heard, [true, false]);
  await eventually("both read all of it", () => [note, same].every((each) => each.doc()?.body === "Later: Low tide at noon, early"));
  await Promise.all([ada.close(), bob.close(), cat.close(), dan.close()]);
  for (const each of [relay, elsewhere]) each.stop();
});
