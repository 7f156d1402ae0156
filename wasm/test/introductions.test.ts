// Links for one person and linked devices, as an app sees them: on real engines with a real one for a relay between them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Repo, type RepoOptions, splice, ticketIn } from "driftline";
import { eventually } from "./support/eventually.js";
import { PipeRelay } from "./support/relay.js";

interface Note {
  body: string;
}

function open(relay: PipeRelay, options: RepoOptions = {}): Promise<Repo> {
  return Repo.open({ storage: "memory", relays: [relay.endpoint], ...options });
}

/** What became of the only question that was asked. */
async function answerOf(repo: Repo): Promise<string> {
  const { asked } = await repo.introductions.now();
  return asked.map(({ state, why }) => `${state} ${why ?? ""}`.trim()).join();
}

test("a link for one person lets one in, tells the next why not, and can be taken back", async () => {
  const relay = new PipeRelay("once");
  const [ada, bob, cat] = await Promise.all([open(relay), open(relay), open(relay)]);
  const mine = await ada.foundSpace({ sealed: true });
  const note = mine.create<Note>({ body: "Low tide" });
  const { id, link } = await mine.shareOnce({ level: "write", from: "Ada", app: "https://notes.example/?relay=ws://x" });
  assert.match(link, /^https:\/\/notes\.example\/\?relay=ws:\/\/x#once=[\w-]+$/);
  assert.equal(ticketIn(link)?.kind, "space");
  assert.equal(ticketIn("https://notes.example/#join=abc"), undefined);
  await assert.rejects(ada.introductions.ask(link), /made on this device/);
  await assert.rejects(bob.introductions.ask(link.slice(0, -3)), /the link is not good/);

  let changes = 0;
  bob.introductions.on("change", () => changes++);
  await bob.introductions.ask(ticketIn(link)?.link ?? "", { name: "Bob" });
  await eventually("Bob is in", async () => (await answerOf(bob)) === "in");
  assert.ok(changes > 0);
  const yours = bob.space(mine.id);
  const same = yours.find<Note>(note.id);
  await same.whenReady({ timeout: 5_000 });
  await eventually("Bob may write", () => yours.access.mayWrite);
  same.change((d) => splice(d, ["body"], 8, 0, " at noon"));
  await eventually("it is read", () => note.doc()?.body === "Low tide at noon");
  const [given] = (await ada.introductions.now()).given;
  assert.deepEqual([given?.id, given?.state, given?.name, given?.key], [id, "used", "Bob", bob.peerId]);

  await cat.introductions.ask(link);
  await eventually("Cat is told", async () => (await answerOf(cat)) === "refused used");
  await cat.introductions.forget(id);
  const unwanted = await mine.shareOnce({ level: "read" });
  await ada.introductions.takeBack(unwanted.id);
  await cat.introductions.ask(unwanted.link);
  await eventually("and that one was taken back", async () => (await answerOf(cat)) === "refused takenBack");
  await Promise.all([ada.close(), bob.close(), cat.close()]);
  relay.stop();
});

test("a device is linked once it is confirmed, has all spaces, and is shut out when it is lost", async () => {
  const relay = new PipeRelay("devices");
  const [laptop, phone] = await Promise.all([open(relay), open(relay)]);
  const mine = await laptop.foundSpace({ sealed: true });
  const note = mine.create<Note>({ body: "Low tide" });
  const { id, link } = await laptop.introductions.linkDevice({ name: "laptop" });
  assert.equal(ticketIn(link)?.kind, "device");
  await phone.introductions.ask(link, { name: "phone" });
  await eventually("it asks", async () => (await laptop.introductions.now()).given[0]?.state === "asked");
  const [asked, asks] = [(await laptop.introductions.now()).given[0], (await phone.introductions.now()).asked[0]];
  assert.match(asked?.code ?? "", /^\d{6}$/);
  assert.deepEqual([asked?.name, asked?.code, asks?.state, asks?.from], ["phone", asks?.code, "waiting", "laptop"]);
  const harbour = { space: laptop.space("harbour").id, name: "Harbour", relays: [] };
  const passed = await laptop.introductions.confirm(id, [harbour, { space: mine.id, name: "Tides", relays: [] }]);
  assert.ok(passed.length === 2 && passed.every(({ error }) => error === undefined), JSON.stringify(passed));
  await eventually("it is told of both", async () => (await phone.introductions.now()).spaces.length === 2);
  assert.deepEqual((await phone.introductions.now()).spaces.map(({ name }) => name).sort(), ["Harbour", "Tides"]);
  const same = phone.space(mine.id).find<Note>(note.id);
  await same.whenReady({ timeout: 5_000 });
  await eventually("it may write", () => phone.space(mine.id).access.mayWrite);
  assert.ok((await mine.members()).some(({ key, isDevice, note }) => key === phone.peerId && isDevice && note === "phone"));

  const later = await phone.foundSpace();
  await phone.introductions.passOn({ space: later.id, name: "Later", relays: [] });
  await eventually("and the laptop of that", async () => (await laptop.introductions.now()).spaces.some(({ name }) => name === "Later"));
  const out = await laptop.introductions.unlink(phone.peerId);
  assert.deepEqual(out.map(({ space, error }) => [space, error === undefined]).sort(), [[mine.id, true], [later.id, false]].sort());
  await eventually("it is shut out", () => phone.space(mine.id).access.state === "revoked");
  assert.deepEqual((await laptop.introductions.now()).devices.map(({ lost }) => lost), [true]);
  await Promise.all([laptop.close(), phone.close()]);
  relay.stop();
});
