// Owned spaces, as an app sees them: founded, shared by a link, read by some and written by others, and taken back; on real
// engines with a real one for a relay between them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { AccessError, type DocHandle, invitationIn, isOwnedSpace, type Member, Repo, type RepoOptions, type Space, splice } from "driftline";
import { eventually } from "./support/eventually.js";
import { Profile } from "./support/profile.js";
import { PipeRelay } from "./support/relay.js";

interface Note {
  body: string;
}

function open(relay: PipeRelay | undefined, options: RepoOptions = {}): Promise<Repo> {
  return Repo.open({ storage: "memory", relays: relay === undefined ? [] : [relay.endpoint], ...options });
}

async function members(space: Space): Promise<Record<string, Member>> {
  return Object.fromEntries((await space.members()).map((member) => [member.isOwner ? "owner" : member.note, member]));
}

/** A founder with a note, and someone who joined with this level and sees it. */
async function two(relay: PipeRelay, level: "read" | "presence" | "write"): Promise<{ ada: Repo; bob: Repo; mine: Space; yours: Space; note: DocHandle<Note>; same: DocHandle<Note> }> {
  const [ada, bob] = await Promise.all([open(relay), open(relay)]);
  const mine = await ada.foundSpace();
  const note = mine.create<Note>({ body: "Low tide" });
  const yours = await bob.join(await mine.share({ level, note: "for Bob" }), { note: "Bob" });
  const same = yours.find<Note>(note.id);
  await same.whenReady({ timeout: 5_000 });
  assert.equal(same.doc()?.body, "Low tide");
  return { ada, bob, mine, yours, note, same };
}

test("a founded space is its founder's alone, and who knows its id is told so", async () => {
  const relay = new PipeRelay("alone");
  const [ada, eve] = await Promise.all([open(relay), open(relay)]);
  const mine = await ada.foundSpace();
  assert.ok(isOwnedSpace(mine.id) && mine.isOwned);
  assert.deepEqual(mine.access, { state: "owner", level: "admin", waitsForKey: false, mayWrite: true, mayShare: true });
  const note = mine.create<Note>({ body: "mine" });
  await note.whenSaved({ relays: 1 }, { timeout: 5_000 });

  const hers = eve.space(mine.id);
  assert.equal(hers.access.state, "unknown");
  assert.throws(() => hers.create<Note>({ body: "hers" }), AccessError);
  await hers.whenReady();
  assert.deepEqual([hers.access.state, hers.access.level], ["none", null]);
  assert.throws(() => hers.create<Note>({ body: "hers" }), /has not let this device in/);
  await assert.rejects(hers.members(), /granted nothing/);
  await eventually("the refusal is told", () => hers.access.refusal?.includes("granted nothing") === true);
  assert.deepEqual(hers.documents, []);

  const open_ = eve.space("harbour");
  assert.deepEqual([open_.isOwned, open_.access.mayWrite, open_.access.mayShare], [false, true, false]);
  await assert.rejects(open_.share({ level: "read" }), /open/);
  await Promise.all([ada.close(), eve.close()]);
  relay.stop();
});

test("who joins by a link to write writes, is known by their note, and vouches for what they wrote", async () => {
  const relay = new PipeRelay("write");
  const { ada, bob, mine, yours, note, same } = await two(relay, "write");
  assert.deepEqual(yours.access, { state: "member", level: "write", waitsForKey: false, mayWrite: true, mayShare: false });
  same.change((d) => splice(d, ["body"], 8, 0, " at noon"));
  await eventually("the founder reads it", () => note.doc()?.body === "Low tide at noon");
  await assert.rejects(yours.share({ level: "write" }), /may not be passed on/);
  const known = await members(mine);
  assert.deepEqual(Object.keys(known).sort(), ["Bob", "for Bob", "owner"]);
  assert.deepEqual([known["owner"]?.isSelf, known["for Bob"]?.isLink, known["Bob"]?.key, known["Bob"]?.by], [true, true, bob.peerId, known["for Bob"]?.key]);
  const vouched = async (): Promise<(string | number | undefined)[][]> => (await note.authorship()).map(({ writer, changes, attested }) => [writer, changes, attested]);
  const wanted = JSON.stringify([[ada.peerId, 1, 1], [bob.peerId, 1, 1]].sort());
  for (const end = Date.now() + 5_000; JSON.stringify((await vouched()).sort()) !== wanted; ) {
    assert.ok(Date.now() < end, JSON.stringify(await vouched()));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await Promise.all([ada.close(), bob.close()]);
  relay.stop();
});

test("what nobody vouches for is disavowed, and comes back by its writer's word", async () => {
  const relay = new PipeRelay("disavow");
  const { ada, bob, mine, note, same } = await two(relay, "write");
  let disavowed = 0;
  for (let word = 1; disavowed === 0; word++) {
    assert.ok(word < 20, "each time his word was faster");
    // He vouches for the first at once, and for the second a second later.
    for (const text of ["first ", `second ${word} `]) same.change((d) => splice(d, ["body"], 0, 0, text));
    await eventually("she reads it", () => note.doc()?.body.includes(`second ${word} `) === true);
    disavowed = await note.disavow({ writer: bob.peerId });
  }
  const body = same.doc()?.body;
  await eventually("nothing is lost that he stands by", () => note.doc()?.body === body);
  for (const end = Date.now() + 5_000; (await note.disavow()) > 0; ) assert.ok(Date.now() < end, "all is vouched for in the end");
  await assert.rejects(ada.space("harbour").create({ body: "" }).disavow(), /is open/);
  const sealed = await ada.foundSpace({ sealed: true });
  await assert.rejects(sealed.create({ body: "" }).disavow(), /sealed/);
  assert.equal(mine.access.state, "owner");
  await Promise.all([ada.close(), bob.close()]);
  relay.stop();
});

test("who may read only is refused before anything changes, is not seen, and reads on", async () => {
  const relay = new PipeRelay("read");
  const { ada, bob, mine, yours, note, same } = await two(relay, "read");
  const troubles: string[] = [];
  bob.on("trouble", ({ message }) => troubles.push(message));
  assert.deepEqual([yours.access.level, yours.access.mayWrite], ["read", false]);
  const error = (() => {
    try {
      same.change((d) => splice(d, ["body"], 0, 0, "x"));
    } catch (thrown) {
      return thrown;
    }
    return undefined;
  })();
  assert.ok(error instanceof AccessError);
  assert.match(error.message, /may read here and not write/);
  assert.equal(error.access, yours.access);
  assert.equal(same.doc()?.body, "Low tide");
  assert.throws(() => yours.create<Note>({ body: "x" }), AccessError);
  yours.presence.set({ name: "Bob" });
  mine.presence.set({ name: "Ada" });
  note.change((d) => splice(d, ["body"], 8, 0, " again"));
  await eventually("new things come", () => same.doc()?.body === "Low tide again" && yours.presence.states.length === 1);
  assert.deepEqual(mine.presence.states, [], "a reader is not seen");
  // A link for more turns it round, while everything is open.
  const heard: (string | null)[] = [];
  yours.on("access", ({ level }) => heard.push(level));
  await bob.join(await mine.share({ level: "write" }), { note: "Bob" });
  assert.deepEqual([heard, yours.access.mayWrite], [["write"], true]);
  same.change((d) => splice(d, ["body"], 14, 0, ", Bob"));
  await eventually("and is read", () => note.doc()?.body === "Low tide again, Bob");
  await eventually("and is seen", () => mine.presence.states.length === 1);
  assert.deepEqual(troubles, []);
  await Promise.all([ada.close(), bob.close()]);
  relay.stop();
});

test("who is shut out hears of it at once, keeps what they have, and nothing of theirs is taken any more", async () => {
  const relay = new PipeRelay("revoke");
  const { ada, bob, mine, yours, note, same } = await two(relay, "write");
  same.change((d) => splice(d, ["body"], 8, 0, " at noon"));
  await eventually("it has come", () => note.doc()?.body === "Low tide at noon");
  mine.presence.set({ name: "Ada" });
  await eventually("the founder is seen", () => yours.presence.states.length === 1);
  let changes = 0;
  mine.on("members", () => changes++);
  const began = Date.now();
  await mine.revoke(bob.peerId);
  // What is written in the moment before it is known stays where it was written.
  if (yours.access.mayWrite) same.change((d) => splice(d, ["body"], 16, 0, "!"));
  await eventually("it is told", () => yours.access.state === "revoked");
  assert.ok(Date.now() - began < 1_000);
  assert.deepEqual(yours.presence.states, [], "and nobody is seen any more");
  assert.throws(() => same.change((d) => splice(d, ["body"], 0, 0, "x")), /were removed.*stays here/);
  assert.match(same.doc()?.body ?? "", /^Low tide at noon!?$/);
  note.change((d) => splice(d, ["body"], 0, 0, "Now: "));
  await note.whenSaved({ relays: 1 }, { timeout: 5_000 });
  assert.equal(note.doc()?.body, "Now: Low tide at noon");
  assert.match(same.doc()?.body ?? "", /^Low tide/);
  assert.ok(changes > 0);
  assert.equal((await members(mine))["Bob"]?.state, "revoked");
  await mine.revoke(bob.peerId); // Asked again it is still done.
  await assert.rejects(mine.revoke(ada.peerId), /nobody of that key/);
  await Promise.all([ada.close(), bob.close()]);
  relay.stop();
});

test("a link that was taken back, or is broken, lets nobody in, and it is said", async () => {
  const relay = new PipeRelay("links");
  const [ada, eve] = await Promise.all([open(relay), open(relay)]);
  const mine = await ada.foundSpace();
  const app = await mine.share({ level: "write", note: "lost", app: "https://notes.example/app?relay=x" });
  assert.match(app, /^https:\/\/notes\.example\/app\?relay=x#join=[\w-]+$/);
  const link = invitationIn(app) as string;
  assert.match(link, /^driftline:join#/);
  assert.equal(invitationIn(link), link);
  assert.equal(invitationIn("https://notes.example/#join="), undefined);
  assert.equal(invitationIn("https://notes.example/#harbour/note"), undefined);
  await assert.rejects(eve.join(`${link.slice(0, 60)}${link[60] === "A" ? "B" : "A"}${link.slice(61)}`), /the link is not good.*missing or mistyped/);
  await assert.rejects(eve.join("https://notes.example/#harbour"), /the link is not good/);
  await mine.revoke((await members(mine))["lost"]?.key as Member["key"]);
  const note = mine.create<Note>({ body: "not for Eve" });
  await note.whenSaved({ relays: 1 }, { timeout: 5_000 });
  const hers = await eve.join(app);
  await eventually("she is told", () => hers.access.refusal?.includes("was revoked") === true);
  assert.deepEqual(hers.documents, []);
  await Promise.all([ada.close(), eve.close()]);
  relay.stop();
});

test("a grant for a time ends by itself", async () => {
  const relay = new PipeRelay("ends");
  const [ada, bob] = await Promise.all([open(relay), open(relay)]);
  const mine = await ada.foundSpace();
  const ends = new Date((Math.floor(Date.now() / 1_000) + 2) * 1_000);
  const yours = await bob.join(await mine.share({ level: "write", ends }));
  assert.deepEqual([yours.access.state, yours.access.ends], ["member", ends]);
  await eventually("it is over", () => yours.access.state === "expired");
  assert.throws(() => yours.create<Note>({ body: "late" }), /has ended/);
  await assert.rejects(mine.share({ level: "write", ends: new Date(0) }).then((link) => bob.join(link)), /expired/);
  await Promise.all([ada.close(), bob.close()]);
  relay.stop();
});

test("two tabs of a profile are one member, whichever leads: founded in one, shared from the other, written in both after the first has gone", async () => {
  const relay = new PipeRelay("tabs");
  const profile = new Profile();
  const first = await profile.open({ relays: [relay.endpoint] });
  const second = await profile.open({ relays: [relay.endpoint] });
  assert.deepEqual([first.repo.role, second.repo.role], ["leader", "follower"]);
  const mine = await second.repo.foundSpace();
  const there = first.repo.space(mine.id);
  await there.whenReady();
  assert.deepEqual([mine.access, there.access.state], [there.access, "owner"]);
  const note = there.create<Note>({ body: "one" });
  const link = await mine.share({ level: "write" });
  const bob = await open(relay);
  const yours = await bob.join(link, { note: "Bob" });
  const same = yours.find<Note>(note.id);
  await same.whenReady({ timeout: 5_000 });
  while ((await members(mine))["Bob"] === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
  await mine.share({ level: "read" }); // Answered once this is kept, and with it what came before.
  // Without a word, in the moment in which it was asked.
  const revoked = mine.revoke(bob.peerId);
  first.tab.crash();
  await revoked;
  await eventually("the second leads, and is the owner", () => second.repo.role === "leader" && mine.access.state === "owner");
  await eventually("who was shut out hears it", () => yours.access.state === "revoked");
  const again = mine.find<Note>(note.id);
  await again.whenReady({ timeout: 5_000 });
  again.change((d) => splice(d, ["body"], 3, 0, " two"));
  await again.whenSaved("device", { timeout: 5_000 });
  await second.repo.close();
  const third = await profile.open();
  const kept = third.repo.space(mine.id).find<Note>(note.id);
  await kept.whenReady({ timeout: 5_000 });
  assert.equal(kept.doc()?.body, "one two");
  assert.equal(third.repo.space(mine.id).access.state, "owner");
  await Promise.all([third.repo.close(), bob.close()]);
  relay.stop();
});
