// The secret key at rest: sealed where the browser can, taken out of journals from before, and told where it cannot be opened.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Repo } from "driftline";
import { indexedDbMedium } from "#dist/indexeddb.js";
import { identityIn } from "#dist/engine.js";
import { Profile } from "./support/profile.js";

interface Note {
  body: string;
}

interface Sealed {
  by: CryptoKey;
  secret: ArrayBuffer;
}

/** The journal of a profile's store, as it lies there. */
async function journal(profile: Profile): Promise<[Uint8Array, Uint8Array]> {
  const medium = await indexedDbMedium(profile.indexedDB as unknown as IDBFactory, "driftline");
  const areas = await medium.read();
  medium.close();
  return areas;
}

/** The sealed key of a profile's store, and what `change` makes of it. */
function sealed(profile: Profile, change?: (sealed: Sealed) => unknown): Promise<Sealed | undefined> {
  return new Promise((resolve, reject) => {
    const request = profile.indexedDB.open("driftline keys", 1);
    request.onerror = () => reject(request.error);
    request.onupgradeneeded = () => request.result.createObjectStore("keys");
    request.onsuccess = () => {
      const keys = request.result.transaction("keys", "readwrite").objectStore("keys");
      const got = keys.get("driftline");
      got.onsuccess = () => {
        const held = got.result as Sealed | undefined;
        if (change !== undefined && held !== undefined) keys.put(change(held), "driftline");
        request.result.close();
        resolve(held);
      };
    };
  });
}

function contains(bytes: Uint8Array, part: Uint8Array): boolean {
  return Buffer.from(bytes).includes(Buffer.from(part));
}

async function write(repo: Repo, body: string): Promise<string> {
  const note = repo.space("s").create<Note>({ body });
  await note.whenSaved("device", { timeout: 5_000 });
  return note.id;
}

test("a new store's key is sealed by one that no script can read, and is found again", async () => {
  const profile = new Profile();
  const first = await profile.open();
  const { peerId } = first.repo;
  await write(first.repo, "one");
  await first.repo.close();
  assert.equal(identityIn(...(await journal(profile))), undefined, "the journal has it not");
  const held = await sealed(profile);
  assert.equal(held?.by.extractable, false);
  await assert.rejects(crypto.subtle.exportKey("raw", held?.by as CryptoKey));
  const second = await profile.open();
  assert.equal(second.repo.peerId, peerId);
  await second.repo.close();
});

test("a store from before is taken over: the key goes out of the journal, every byte of it, and nothing else does", async () => {
  const profile = new Profile();
  profile.subtle = undefined;
  const before = await profile.open();
  const { peerId } = before.repo;
  const id = await write(before.repo, "from before");
  const space = await before.repo.foundSpace();
  await before.repo.close();
  const secret = identityIn(...(await journal(profile))) as Uint8Array;
  assert.equal(secret.length, 32);

  profile.subtle = crypto.subtle;
  const after = await profile.open();
  assert.equal(after.repo.peerId, peerId);
  await after.repo.close();
  const areas = await journal(profile);
  assert.equal(identityIn(...areas), undefined);
  for (const area of areas) assert.ok(!contains(area, secret), "it is not even among what is dead");
  const again = await profile.open();
  assert.equal(again.repo.peerId, peerId);
  const note = again.repo.space("s").find<Note>(id);
  await note.whenReady({ timeout: 5_000 });
  assert.equal(note.doc()?.body, "from before");
  const own = again.repo.space(space.id);
  await own.whenReady();
  assert.equal(own.access.state, "owner");
  await again.repo.close();
});

test("a store that was left between sealing and forgetting is taken over again", async () => {
  const profile = new Profile();
  profile.subtle = undefined;
  const before = await profile.open();
  const { peerId } = before.repo;
  await write(before.repo, "x");
  await before.repo.close();
  const plain = await journal(profile);
  profile.subtle = crypto.subtle;
  await (await profile.open()).repo.close();
  // As it was in between: the journal still has the key, and the sealed one says so.
  const medium = await indexedDbMedium(profile.indexedDB as unknown as IDBFactory, "driftline");
  await medium.read();
  for (const area of [0, 1] as const) await medium.write?.(area, 0, plain[area]);
  medium.close();
  await sealed(profile, (held) => ({ ...held, isAlone: false }));
  const again = await profile.open();
  assert.equal(again.repo.peerId, peerId);
  await again.repo.close();
  assert.equal(identityIn(...(await journal(profile))), undefined);
});

test("a sealed key that cannot be opened, or is gone, is told; what is stored stays as it is", async () => {
  for (const harm of [(held: Sealed) => ({ ...held, secret: held.secret.slice(1) }), () => undefined]) {
    const profile = new Profile();
    const first = await profile.open();
    await write(first.repo, "kept");
    await first.repo.close();
    const before = await journal(profile);
    await sealed(profile, harm);
    const { repo } = await profile.open();
    assert.equal(repo.storage.durable, false);
    assert.match(repo.storage.warning ?? "", /cannot be used: the key of this device is (sealed, and this browser cannot open it|gone)/);
    await repo.close();
    assert.deepEqual(await journal(profile), before);
  }
});
