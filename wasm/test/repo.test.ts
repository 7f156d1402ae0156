// Two people with a relay between them, as an app sees it: what the README promises.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type DocHandle, documentIdOf, mark, Repo, type RepoOptions, splice, unmark } from "driftline";
import { firstDocument } from "../examples/first-document.js";
import { eventually } from "./support/eventually.js";
import { PipeRelay } from "./support/relay.js";

interface Note {
  title: string;
  body: string;
}

function open(relay: PipeRelay | undefined, options: RepoOptions = {}): Promise<Repo> {
  return Repo.open({ storage: "memory", relays: relay === undefined ? [] : [relay.endpoint], ...options });
}

test("the README's first document shows at once, is kept by the relay, and opens elsewhere", async () => {
  const relay = new PipeRelay("readme");
  const { repo, note } = await firstDocument(relay.endpoint, "harbour");
  assert.deepEqual(note.doc(), { title: "The harbour", body: "Ships and gulls" });
  assert.equal(note.saved.level, "replicas");
  assert.equal(note.saved.relays, 1);

  const other = await open(relay);
  const same = other.space("harbour").find<Note>(note.id);
  await same.whenReady({ timeout: 5_000 });
  assert.deepEqual(same.doc(), note.doc());
  await eventually("the other sees the list", () => other.space("harbour").documents.includes(note.id));
  await Promise.all([repo.close(), other.close()]);
  relay.stop();
});

test("a document opens by its URL in automerge-repo, and nothing else passes for one", async () => {
  const repo = await open(undefined);
  const space = repo.space("automerge");
  const note = space.create<Note>({ title: "Harbour", body: "" });
  assert.equal(space.find<Note>(`automerge:${note.id}`).id, note.id);
  assert.throws(() => space.find(`automerge:${note.id.slice(1)}`), TypeError);
  assert.throws(() => space.find(`automerge:${note.id}#heads`), TypeError);
  assert.equal(documentIdOf(`automerge:${note.id}`), note.id);
  assert.equal(documentIdOf("automerge:"), undefined);
  await repo.close();
});

test("two type into one text at once, also while one is offline, and nothing is lost", async () => {
  const relay = new PipeRelay("typing");
  const [ada, bob] = await Promise.all([open(relay), open(relay)]);
  const mine = ada.space("desk").create<Note>({ title: "t", body: "" });
  const yours = bob.space("desk").find<Note>(mine.id);
  await yours.whenReady({ timeout: 5_000 });
  const type = async (handle: DocHandle<Note>, letter: string): Promise<void> => {
    for (let n = 0; n < 40; n++) {
      handle.splice(["body"], handle.doc()?.body.length ?? 0, 0, `<${letter}${n}>`);
      if (n % 4 === 0) await new Promise((resolve) => setTimeout(resolve, 3));
    }
  };
  await Promise.all([type(mine, "a"), type(yours, "b")]);
  bob.setOnline(false);
  await eventually("bob is offline", () => bob.connections[0]?.state === "offline");
  await Promise.all([type(mine, "c"), type(yours, "d")]);
  assert.notDeepEqual(mine.doc(), yours.doc());
  bob.setOnline(true);
  await eventually("both show the same", () => mine.doc()?.body === yours.doc()?.body && mine.doc()?.body.length === 4 * (10 * 4 + 30 * 5));
  for (const letter of "abcd") for (let n = 0; n < 40; n++) assert.equal(mine.doc()?.body.split(`<${letter}${n}>`).length, 2);
  await Promise.all([ada.close(), bob.close()]);
  relay.stop();
});

test("what is said of saving is true: not before the relay has it, not while it is away, and again when it is back", async () => {
  const relay = new PipeRelay("saving");
  const repo = await open(relay);
  const note = repo.space("s").create<Note>({ title: "a", body: "" });
  assert.deepEqual([note.saved.level, note.saved.relays], ["memory", 0]);
  await note.whenSaved({ relays: 1 }, { timeout: 5_000 });
  relay.kill();
  await eventually("it is noticed", () => repo.connections[0]?.state !== "connected");
  note.change((d) => { d.title = "b"; });
  assert.equal(note.saved.relays, 0);
  await assert.rejects(note.whenSaved({ relays: 1 }, { timeout: 50 }), /longer than 50 ms/);
  await assert.rejects(note.whenSaved("device"), /kept on this device/);
  relay.restart();
  await note.whenSaved({ replicas: 1 }, { timeout: 8_000 });
  assert.equal(note.saved.level, "replicas");
  await repo.close();
  relay.stop();
});

test("a store in a file is found again by the next process, with no relay", async () => {
  const folder = mkdtempSync(join(tmpdir(), "driftline-"));
  const storage = { file: join(folder, "notes.journal") };
  const first = await open(undefined, { storage });
  assert.deepEqual([first.storage.kind, first.storage.durable], ["file", true]);
  const note = first.space("s").create<Note>({ title: "kept", body: "" });
  note.change((d) => splice(d, ["title"], 4, 0, "!"), { message: "louder" });
  await note.whenSaved("device", { timeout: 5_000 });
  assert.equal(note.saved.level, "device");
  const { id } = note;
  const { peerId } = first;
  await first.close();
  assert.equal(note.state, "closed");

  const second = await open(undefined, { storage });
  assert.equal(second.peerId, peerId, "it is the same replica");
  const space = second.space("s");
  await space.whenReady();
  assert.deepEqual(space.documents, [id]);
  const again = space.find<Note>(id);
  await again.whenReady({ timeout: 5_000 });
  assert.deepEqual(again.doc(), { title: "kept!", body: "" });
  const history = await again.history();
  assert.deepEqual(history.map(({ message }) => message), ["louder", undefined]);
  assert.deepEqual(await again.valueAt([history[1]?.hash as string]), { title: "kept", body: "" });
  assert.ok((await again.export()).length > 50);
  await second.close();
  rmSync(folder, { recursive: true });
});

test("a document nobody has is unavailable and cannot be written to, until someone brings it", async () => {
  const relay = new PipeRelay("late");
  const [ada, bob] = await Promise.all([open(undefined), open(relay)]);
  const note = ada.space("s").create<Note>({ title: "late", body: "" });
  const missing = bob.space("s").find<Note>(note.id);
  const states: string[] = [];
  missing.on("state", (state) => states.push(state));
  await eventually("it is known to be missing", () => missing.state === "unavailable");
  assert.equal(missing.doc(), undefined);
  assert.throws(() => missing.change((d) => { d.title = "x"; }), /unavailable/);
  assert.throws(() => bob.space("s").find("nonsense"), /not a document's id/);
  ada.addRelay(relay.endpoint);
  await missing.whenReady({ timeout: 5_000 });
  assert.deepEqual(missing.doc(), { title: "late", body: "" });
  assert.deepEqual(states, ["unavailable", "ready"]);
  await Promise.all([ada.close(), bob.close()]);
  relay.stop();
});

test("a cursor stays with what it points at, whoever writes before it", async () => {
  const repo = await open(undefined);
  const note = repo.space("s").create<Note>({ title: "", body: "one two" });
  const cursor = await note.cursor(["body"], 4);
  note.splice(["body"], 0, 0, "zero ");
  assert.equal(await note.position(["body"], cursor), 9);
  await assert.rejects(note.position(["title"], cursor), /not a cursor/);
  await assert.rejects(note.cursor(["missing"], 0), /no text or list/);
  await repo.close();
});

test("text is formatted with marks that stay with it", async () => {
  const repo = await open(undefined);
  const note = repo.space("s").create<Note>({ title: "", body: "one two" });
  note.change((d) => mark(d, ["body"], { start: 4, end: 7 }, "bold", true));
  note.splice(["body"], 0, 0, "zero ");
  assert.deepEqual(await note.marks(["body"]), [{ start: 9, end: 12, name: "bold", value: true }]);
  note.change((d) => unmark(d, ["body"], { start: 9, end: 12 }, "bold"));
  assert.deepEqual(await note.marks(["body"]), []);
  assert.equal(note.doc()?.body, "zero one two");
  assert.throws(() => note.change((d) => mark(d, ["body"], { start: 4, end: 70 }, "bold", true)), /does not fit/);
  await repo.close();
});

test("presence is seen by others, changes, and goes with a goodbye", async () => {
  const relay = new PipeRelay("presence");
  const [ada, bob] = await Promise.all([open(relay), open(relay)]);
  const here = ada.space("s").presence;
  const there = bob.space("s").presence;
  here.set({ name: "Ada", at: 1 });
  await eventually("Ada is seen", () => there.states.length === 1);
  assert.deepEqual(there.states[0], { peerId: ada.peerId, instance: ada.instance, state: { name: "Ada", at: 1 } });
  for (let at = 2; at < 20; at++) here.set({ name: "Ada", at });
  await eventually("the last is seen", () => (there.states[0]?.state as { at: number }).at === 19);
  assert.equal(here.states.length, 0, "nobody sees themselves");
  await ada.close();
  await eventually("Ada is gone", () => there.states.length === 0);
  await bob.close();
  relay.stop();
});
