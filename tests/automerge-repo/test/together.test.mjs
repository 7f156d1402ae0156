/** Unmodified automerge-repo clients and a real relay: what an app does on an ordinary day. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { splice } from "@automerge/automerge-repo/slim";
import { Client, equal } from "../harness/client.mjs";
import { Relay, until } from "../harness/relay.mjs";

let relay;
const clients = [];
before(async () => {
  relay = await Relay.start();
});
after(async () => {
  for (const client of clients) await client.close();
  await relay.remove();
});

function client(options = {}) {
  const client = new Client({ url: relay.url, ...options }).connect();
  clients.push(client);
  return client;
}

test("one creates, another finds, both edit", async () => {
  const [anna, ben] = [client(), client()];
  const note = anna.repo.create({ title: "Harbour", body: "Ships" });
  await anna.received(note);
  const same = await ben.find(note.url);
  assert.deepEqual(same.doc(), { title: "Harbour", body: "Ships" });
  same.change((doc) => splice(doc, ["body"], 5, 0, " and gulls"));
  note.change((doc) => (doc.title = "The harbour"));
  await equal(note, same);
  assert.deepEqual(note.doc(), { title: "The harbour", body: "Ships and gulls" });
  assert.deepEqual(same.doc(), note.doc());
});

test("a document that nobody has is unavailable, and comes to life when someone has it", async () => {
  const [anna, ben] = [client(), client()];
  const offline = new Client({ url: relay.url });
  clients.push(offline);
  const note = offline.repo.create({ title: "later" });
  await until("both to be connected", () => anna.relayStorage() && ben.relayStorage());
  await assert.rejects(ben.find(note.url), /unavailable/);
  offline.connect();
  await offline.received(note);
  const found = await anna.find(note.url);
  assert.equal(found.doc().title, "later");
  await until("who asked before to have it, too", async () => {
    const progress = await ben.find(note.url).catch(() => null);
    return progress?.doc()?.title === "later";
  });
});

test("two who write while they are offline lose nothing", async () => {
  const [anna, ben] = [client(), client()];
  const note = anna.repo.create({ body: "" });
  await anna.received(note);
  const same = await ben.find(note.url);
  anna.disconnect();
  ben.disconnect();
  for (let at = 0; at < 50; at++) {
    note.change((doc) => splice(doc, ["body"], doc.body.length, 0, `a${at} `));
    same.change((doc) => splice(doc, ["body"], 0, 0, `b${at} `));
  }
  anna.connect();
  ben.connect();
  await equal(note, same);
  for (let at = 0; at < 50; at++) for (const word of [`a${at} `, `b${at} `]) assert.ok(same.doc().body.includes(word), word);
  assert.equal(note.doc().body, same.doc().body);
});

test("an ephemeral message reaches everyone else who has the document open, once", async () => {
  const [anna, ben, cleo] = [client(), client(), client()];
  const note = anna.repo.create({ title: "here" });
  await anna.received(note);
  const copies = [await ben.find(note.url), await cleo.find(note.url)];
  const heard = copies.map(() => []);
  copies.forEach((copy, at) => copy.on("ephemeral-message", ({ senderId, message }) => heard[at].push([senderId, message])));
  const own = [];
  note.on("ephemeral-message", ({ message }) => own.push(message));
  for (let at = 0; at < 3; at++) note.broadcast({ cursor: at });
  await until("both to have heard all", () => heard.every((messages) => messages.length >= 3));
  // Whatever might still come, comes before the answer to a change.
  note.change((doc) => (doc.title = "gone"));
  await equal(note, ...copies);
  const expected = [0, 1, 2].map((at) => [anna.repo.networkSubsystem.peerId, { cursor: at }]);
  assert.deepEqual(heard, [expected, expected]);
  assert.deepEqual(own, []);
});

test("many documents and many edits at once", async () => {
  const [anna, ben] = [client(), client()];
  const notes = Array.from({ length: 40 }, (_, at) => anna.repo.create({ at, words: [] }));
  await anna.received(...notes);
  const copies = await Promise.all(notes.map((note) => ben.find(note.url)));
  for (let round = 0; round < 5; round++) {
    notes.forEach((note) => note.change((doc) => doc.words.push(`a${round}`)));
    copies.forEach((copy) => copy.change((doc) => doc.words.push(`b${round}`)));
  }
  await Promise.all(notes.map((note, at) => equal(note, copies[at])));
  for (const note of notes) assert.equal(note.doc().words.length, 10);
});

test("a client is told how far another's storage has come", async () => {
  const { NodeFSStorageAdapter } = await import("@automerge/automerge-repo-storage-nodefs");
  const { mkdtemp, rm } = await import("node:fs/promises");
  const { tmpdir } = await import("node:os");
  const { join } = await import("node:path");
  const folder = await mkdtemp(join(tmpdir(), "driftline-automerge-storage-"));
  const anna = client({ storage: new NodeFSStorageAdapter(folder), gossip: true });
  const ben = client({ gossip: true });
  const note = anna.repo.create({ title: "one" });
  await anna.received(note);
  // Asked for earlier, a new storage draws an id of its own for each who asks.
  const storage = await anna.repo.storageId();
  ben.repo.subscribeToRemotes([storage]);
  const copy = await ben.find(note.url);
  await ben.received(copy);
  note.change((doc) => (doc.title = "two"));
  await equal(note, copy);
  await until("the other storage's heads", () => {
    const heads = copy.getSyncInfo(storage)?.lastHeads;
    return heads !== undefined && heads.every((head) => note.heads().includes(head));
  });
  await anna.close();
  clients.splice(clients.indexOf(anna), 1);
  await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
});
