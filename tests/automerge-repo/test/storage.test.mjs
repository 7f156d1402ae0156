/** Storage folders of automerge-repo go in and come out whole. */

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Repo, splice } from "@automerge/automerge-repo";
import { NodeFSStorageAdapter } from "@automerge/automerge-repo-storage-nodefs";
import { same } from "../harness/client.mjs";
import { Driftline } from "../harness/driftline.mjs";
import { Relay } from "../harness/relay.mjs";

test("a storage folder is imported under the same ids with all its history, and exported to one that automerge-repo opens", async () => {
  const folders = await Promise.all([0, 1].map(() => mkdtemp(join(tmpdir(), "driftline-automerge-folder-"))));
  const relay = await Relay.start();
  const own = await Driftline.open(relay);
  try {
    const before = new Repo({ storage: new NodeFSStorageAdapter(folders[0]) });
    const notes = Array.from({ length: 5 }, (_, at) => before.create({ at, body: "" }));
    for (let round = 0; round < 4; round++) {
      for (const note of notes) note.change((doc) => splice(doc, ["body"], doc.body.length, 0, `${round} `));
      await before.flush();
    }
    await before.shutdown();
    const expected = notes.map((note) => [note.heads(), note.doc()]);

    const printed = await own.doc("import", folders[0]);
    assert.deepEqual(printed.split("\n").sort(), notes.map((note) => note.documentId).sort());
    await own.doc("import", folders[0]);
    assert.equal(await own.doc("get", notes[2].url, "at"), "2");

    await own.doc("export", "--all", "--output", folders[1]);
    const after = new Repo({ storage: new NodeFSStorageAdapter(folders[1]) });
    for (const [at, note] of notes.entries()) {
      const found = await after.find(note.url);
      assert.ok(same(found.heads(), expected[at][0]));
      assert.deepEqual(found.doc(), expected[at][1]);
    }
    await after.shutdown();
  } finally {
    await own.remove();
    await relay.remove();
    for (const folder of folders) await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
});
