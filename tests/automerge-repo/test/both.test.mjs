/** One document, two protocols: clients of automerge-repo and of Driftline write in it together. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { splice } from "@automerge/automerge-repo/slim";
import { Client, equal } from "../harness/client.mjs";
import { Driftline } from "../harness/driftline.mjs";
import { Relay, until } from "../harness/relay.mjs";

test("two automerge-repo clients and two Driftline clients type into one note, and all have all of it", async () => {
  const relay = await Relay.start();
  const [anna, ben] = [new Client({ url: relay.url }).connect(), new Client({ url: relay.url }).connect()];
  const own = [await Driftline.open(relay), await Driftline.open(relay)];
  try {
    const note = anna.repo.create({ title: "tides", body: "" });
    await anna.received(note);
    const same = await ben.find(note.url);
    const id = note.documentId;
    assert.equal(await own[0].doc("get", id, "title"), "tides");

    const expected = [];
    const word = (who, at) => {
      expected.push(`${who}${at} `);
      return `${who}${at} `;
    };
    const typing = own.map(async (driftline, who) => {
      for (let at = 0; at < 3; at++) await driftline.doc("splice", id, "body", "0", "0", word(`d${who}.`, at));
    });
    let typed = false;
    const all = Promise.all(typing).then(() => (typed = true));
    for (let at = 0; !typed || at < 40; at++) {
      note.change((doc) => splice(doc, ["body"], doc.body.length, 0, word("a", at)));
      same.change((doc) => splice(doc, ["body"], 0, 0, word("b", at)));
      await new Promise((done) => setTimeout(done, 25));
    }
    await all;
    await anna.received(note);
    await ben.received(same);
    await equal(note, same);
    await until("everything typed with Driftline", () => expected.every((word) => note.doc().body.includes(word)));
    assert.equal(note.doc().body, same.doc().body);
    for (const driftline of own) assert.equal(await driftline.doc("get", id, "body"), note.doc().body.trim());
    const length = expected.reduce((sum, word) => sum + word.length, 0);
    assert.equal(note.doc().body.length, length, "nothing stands there twice");
  } finally {
    await anna.close();
    await ben.close();
    for (const driftline of own) await driftline.remove();
    await relay.remove();
  }
});

test("what Driftline makes, automerge-repo finds, with its text, numbers, lists and times", async () => {
  const relay = await Relay.start();
  const anna = new Client({ url: relay.url }).connect();
  const own = await Driftline.open(relay);
  try {
    const value = { title: "Harbour", visits: { $counter: 3 }, tags: ["a", "b"], plain: { $string: "as a whole" }, depth: 4.5, open: true };
    const id = await own.doc("create", "--value", JSON.stringify(value));
    const found = await anna.find(`automerge:${id}`);
    const doc = found.doc();
    assert.equal(doc.title, "Harbour");
    assert.equal(doc.visits.value, 3);
    assert.deepEqual([...doc.tags].map(String), ["a", "b"]);
    assert.equal(String(doc.plain), "as a whole");
    assert.deepEqual([doc.depth, doc.open], [4.5, true]);
    found.change((doc) => doc.visits.increment(2));
    await anna.received(found);
    assert.match(await own.doc("get", id, "visits"), /5/);
  } finally {
    await anna.close();
    await own.remove();
    await relay.remove();
  }
});
