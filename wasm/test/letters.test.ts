// Letters, as an app sees them: on real engines with a real one for a relay between them; recipients are away when they are written.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { didOf, type Letter, type LetterId, peerIdOf, Repo, type RepoOptions, type SentLetter } from "driftline";
import { eventually } from "./support/eventually.js";
import { inFolder } from "./support/native.js";
import { Profile } from "./support/profile.js";
import { PipeRelay } from "./support/relay.js";

function open(relay: PipeRelay, options: RepoOptions = {}): Promise<Repo> {
  return Repo.open({ storage: "memory", relays: [relay.endpoint], ...options });
}

/** What a repo is told from now on. */
function told(repo: Repo): { received: string[]; sent: SentLetter[]; forgotten: LetterId[] } {
  const all = { received: [] as string[], sent: [] as SentLetter[], forgotten: [] as LetterId[] };
  repo.letters.on("received", ({ text }) => all.received.push(text));
  repo.letters.on("sent", (letter) => all.sent.push(letter));
  repo.letters.on("forgotten", (id) => all.forgotten.push(id));
  return all;
}

test("a letter waits at a relay for someone who is away, is shown once, and is forgotten", () =>
  inFolder(async (folder) => {
    const relay = new PipeRelay("letters");
    const storage = { file: join(folder, "bob") };
    const first = await open(relay, { storage });
    const { address } = first.letters;
    assert.match(address, /^did:key:z6Mk/);
    assert.deepEqual([peerIdOf(address), didOf(first.peerId)], [first.peerId, address]);
    await first.close();

    const ada = await open(relay);
    const heard = told(ada);
    const bytes = new Uint8Array([0, 255, 104, 105]);
    const id = await ada.letters.send(address, "note", "Come over — 🌊");
    const other = await ada.letters.send(first.peerId, "picture", bytes, { endsIn: 3_600_000 });
    await Promise.all([id, other].map((letter) => ada.letters.whenKept(letter, { timeout: 5_000 })));
    assert.deepEqual(heard.sent.filter((letter) => letter.id === id).map(({ state }) => state), ["waiting", "kept"]);
    assert.deepEqual((await ada.letters.sent()).map(({ state }) => state), ["kept", "kept"]);
    // The relay is killed, and has it on its disk.
    relay.kill();
    relay.restart();

    const bob = await open(relay, { storage });
    const news = told(bob);
    await bob.letters.whenFetched({ timeout: 5_000 });
    await eventually("both are told", () => news.received.length === 2);
    const letters = new Map((await bob.letters.received()).map((letter) => [letter.id, letter]));
    const letter = letters.get(id) as Letter;
    assert.deepEqual([letter.sender, letter.kind, letter.text], [ada.peerId, "note", "Come over — 🌊"]);
    const inAWeek = Date.now() + 7 * 24 * 3_600_000;
    assert.ok(Math.abs(letter.ends.getTime() - inAWeek) < 60_000, `${letter.ends}`);
    assert.deepEqual(letters.get(other)?.content, bytes);
    assert.equal(await bob.letters.forget(id), true);
    assert.equal(await bob.letters.forget(id), false);
    assert.deepEqual([news.forgotten.includes(id), (await bob.letters.received()).map((letter) => letter.id)], [true, [other]]);
    await bob.close();
    // What was here is not news.
    const again = await open(relay, { storage });
    const later = told(again);
    await again.letters.whenFetched({ timeout: 5_000 });
    assert.deepEqual([later.received, (await again.letters.received()).map((letter) => letter.id)], [[], [other]]);
    await Promise.all([again.close(), ada.close()]);
    relay.stop();
  }));

test("what is written away from any relay is kept on this device, and leaves after a reload", () =>
  inFolder(async (folder) => {
    const relay = new PipeRelay("outbox");
    const cat = await open(relay);
    const storage = { file: join(folder, "ada") };
    const away = await Repo.open({ storage });
    const id = await away.letters.send(cat.peerId, "note", "later");
    assert.deepEqual(await away.letters.sent(), [{ id, state: "waiting" }]);
    await assert.rejects(away.letters.whenKept(id, { timeout: 20 }), /took longer/);
    await away.close();
    const heard = told(cat);
    const ada = await open(relay, { storage });
    await ada.letters.whenKept(id, { timeout: 5_000 });
    await eventually("it arrives", () => heard.received.length === 1);
    await Promise.all([ada.close(), cat.close()]);
    relay.stop();
  }));

test("every tab sends, hears and forgets, also when the one that leads goes", async () => {
  const relay = new PipeRelay("tabs of letters");
  const bob = await open(relay);
  const profile = new Profile();
  const [first, second] = [await profile.open({ relays: [relay.endpoint] }), await profile.open()];
  assert.deepEqual([first.repo.role, second.repo.role], ["leader", "follower"]);
  const [one, two] = [told(first.repo), told(second.repo)];
  const id = await second.repo.letters.send(bob.peerId, "note", "from the second tab");
  await second.repo.letters.whenKept(id, { timeout: 5_000 });
  await eventually("the first hears of it", () => one.sent.some((letter) => letter.id === id && letter.state === "kept"));
  const third = await profile.open();
  assert.deepEqual(await third.repo.letters.sent(), [{ id, state: "kept" }]);
  await third.repo.letters.whenKept(id, { timeout: 5_000 });

  await bob.letters.send(first.repo.peerId, "note", "to all tabs");
  await eventually("both are told, once", () => one.received.length === 1 && two.received.length === 1);
  const [letter] = await second.repo.letters.received();
  assert.equal(await second.repo.letters.forget(letter?.id as LetterId), true);
  await eventually("both hear that it is gone", () => one.forgotten.length === 1 && two.forgotten.length === 1);
  assert.deepEqual(await first.repo.letters.received(), []);

  first.tab.crash();
  const asked = second.repo.letters.send(bob.peerId, "note", "asked between two leaders");
  await eventually("the second or third leads", () => second.repo.role === "leader" || third.repo.role === "leader");
  second.repo.addRelay(relay.endpoint);
  await second.repo.letters.whenKept(await asked, { timeout: 5_000 });
  await bob.letters.send(second.repo.peerId, "note", "to who is left");
  await eventually("it arrives, once", () => two.received.length === 2);
  await eventually("and what was sent arrived once", async () => (await bob.letters.received()).length === 2);
  assert.deepEqual([two.received, one.received], [["to all tabs", "to who is left"], ["to all tabs"]]);
  await Promise.all([second.repo.close(), third.repo.close(), bob.close()]);
  relay.stop();
});

test("what cannot be sent is refused with a sentence that says why", async () => {
  const relay = new PipeRelay("letters refused");
  const ada = await open(relay);
  const { letters, peerId } = ada;
  const refused = (why: RegExp, ...sent: Parameters<typeof letters.send>): Promise<void> => assert.rejects(letters.send(...sent), why);
  await refused(/did:key/, "Bob", "note", "x");
  await refused(/did:key/, "did:key:z6Mk", "note", "x");
  await refused(/did:key/, peerId.slice(1), "note", "x");
  await refused(/send less/, peerId, "note", new Uint8Array(17_000));
  await refused(/send less/, peerId, "note", new Uint8Array(16_300));
  await refused(/milliseconds/, peerId, "note", "x", { endsIn: Number.POSITIVE_INFINITY });
  await refused(/kind of a letter/, peerId, "n".repeat(65), "x");
  await refused(/30 days/, peerId, "note", "x", { endsIn: 31 * 24 * 3_600_000 });
  await refused(/milliseconds/, peerId, "note", "x", { endsIn: 0 });
  await refused(/engine's own/, peerId, "driftline introduction 1", "x");
  await assert.rejects(letters.whenKept("00".repeat(32) as LetterId), /no such letter/);
  // No relay keeps one for a relay.
  const toRelay = await letters.send(relay.engine.peer, "note", "x");
  await assert.rejects(letters.whenKept(toRelay, { timeout: 5_000 }), /write to a person/);
  assert.deepEqual((await letters.sent()).map(({ state }) => state), ["refused"]);
  await ada.close();
  await assert.rejects(letters.received(), /closed/);
  relay.stop();
});
