/** Unmodified automerge-repo clients and a relay that ends: what was told to be received is there afterwards. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { splice } from "@automerge/automerge-repo/slim";
import { Client, equal } from "../harness/client.mjs";
import { Relay } from "../harness/relay.mjs";

async function withRelay(story) {
  const relay = await Relay.start();
  const clients = [];
  const client = () => {
    const made = new Client({ url: relay.url }).connect();
    clients.push(made);
    return made;
  };
  try {
    await story(relay, client);
  } finally {
    for (const made of clients) await made.close();
    await relay.remove();
  }
}

test("after a restart everyone goes on where they were", async () => {
  await withRelay(async (relay, client) => {
    const [anna, ben] = [client(), client()];
    const note = anna.repo.create({ body: "" });
    await anna.received(note);
    const same = await ben.find(note.url);
    const storage = anna.relayStorage();
    await relay.stop();
    note.change((doc) => splice(doc, ["body"], 0, 0, "while it was gone "));
    same.change((doc) => splice(doc, ["body"], 0, 0, "both wrote "));
    await relay.start();
    await equal(note, same);
    assert.ok(note.doc().body.includes("while it was gone ") && note.doc().body.includes("both wrote "));
    assert.equal(anna.relayStorage(), storage, "clients remember it by its storage");
  });
});

test("what the relay said it received is there after kill -9, with every client gone", async () => {
  for (let round = 0; round < 3; round++) {
    await withRelay(async (relay, client) => {
      const anna = client();
      const notes = Array.from({ length: 10 }, (_, at) => anna.repo.create({ at, body: "" }));
      for (let word = 0; word < 20; word++) {
        for (const note of notes) note.change((doc) => splice(doc, ["body"], doc.body.length, 0, `${word} `));
      }
      await anna.received(...notes);
      await relay.kill();
      const expected = notes.map((note) => [note.heads(), note.doc()]);
      await anna.close();

      await relay.start();
      const ben = client();
      for (const [at, note] of notes.entries()) {
        const found = await ben.find(note.url);
        assert.deepEqual([found.heads(), found.doc()], expected[at]);
      }
    });
  }
});

test("kill -9 in the middle of writing loses nothing, because clients still have it", async () => {
  await withRelay(async (relay, client) => {
    const [anna, ben] = [client(), client()];
    const note = anna.repo.create({ body: "" });
    await anna.received(note);
    const same = await ben.find(note.url);
    for (let word = 0; word < 60; word++) {
      note.change((doc) => splice(doc, ["body"], doc.body.length, 0, `a${word} `));
      same.change((doc) => splice(doc, ["body"], 0, 0, `b${word} `));
      if (word === 30) await relay.kill();
      if (word === 45) await relay.start();
      await new Promise((done) => setTimeout(done, 2));
    }
    await equal(note, same);
    await anna.received(note);
    for (let word = 0; word < 60; word++) for (const made of [`a${word} `, `b${word} `]) assert.ok(note.doc().body.includes(made), made);
  });
});
