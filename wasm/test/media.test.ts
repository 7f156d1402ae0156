// Every medium keeps what it has confirmed, drops what it could not write, and gives back what it holds.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { IDBFactory, IDBKeyRange } from "fake-indexeddb";
import { Repo } from "driftline";
import { Hub } from "#dist/hub.js";
import { indexedDbMedium } from "#dist/indexeddb.js";
import { type Area, fileMedium, type Medium, type SyncFile } from "#dist/media.js";
import type { FromHub, ToHub } from "#dist/protocol.js";
import { openMedium, statusOf } from "#dist/storage.js";

(globalThis as { IDBKeyRange?: unknown }).IDBKeyRange = IDBKeyRange;

/** A file as browsers have it, whose disk can be made to fail. */
class FakeFile implements SyncFile {
  bytes: Uint8Array = new Uint8Array();
  isFull = false;
  failFlush = false;
  failTruncate = false;
  /** Told after each write. */
  onWrite: (() => void) | undefined;
  /** Most bytes taken in one write. */
  chunk = Infinity;

  getSize(): number {
    return this.bytes.length;
  }
  read(bytes: Uint8Array, { at }: { at: number }): number {
    const part = this.bytes.subarray(at, at + Math.min(bytes.length, 7));
    bytes.set(part);
    return part.length;
  }
  write(bytes: Uint8Array, { at }: { at: number }): number {
    const count = Math.min(bytes.length, this.isFull ? 1 : this.chunk);
    const next = new Uint8Array(Math.max(this.bytes.length, at + count));
    next.set(this.bytes);
    next.set(bytes.subarray(0, count), at);
    this.bytes = next;
    this.onWrite?.();
    if (this.isFull) throw new DOMException("full", "QuotaExceededError");
    return count;
  }
  truncate(length: number): void {
    if (this.failTruncate) throw new Error("the disk is gone");
    this.bytes = this.bytes.slice(0, length);
  }
  flush(): void {
    if (this.failFlush) throw new Error("the disk is slow");
  }
  close(): void {}
}

const text = (medium: Medium, area: Area = 0): Promise<string> => medium.read().then((areas) => new TextDecoder().decode(areas[area]));
const bytes = (letters: string): Uint8Array => new TextEncoder().encode(letters);

/** What every medium does. `open` opens the same one again. */
async function conforms(open: () => Promise<Medium>): Promise<void> {
  let medium = await open();
  assert.equal(await text(medium), "");
  await medium.write?.(0, 0, bytes("first"));
  await medium.write?.(0, 5, bytes(" second"));
  medium.close();
  medium = await open();
  assert.equal(await text(medium), "first second");
  await medium.write?.(0, 5, bytes("!"));
  medium.close();
  medium = await open();
  assert.equal(await text(medium), "first!", "what stood behind the place is dropped");
  const large = "x".repeat(300_000);
  await medium.write?.(0, 6, bytes(large));
  medium.close();
  medium = await open();
  assert.equal((await text(medium)).length, 300_006);
  assert.equal(await text(medium, 1), "");
  await medium.write?.(1, 0, bytes("second"));
  await medium.write?.(0, 0, bytes(""));
  await medium.write?.(1, 6, bytes(" area"));
  medium.close();
  medium = await open();
  assert.deepEqual([await text(medium), await text(medium, 1)], ["", "second area"], "either area is dropped without the other");
  medium.close();
}

test("a file of a browser's private file system, which may take a part of what it is given", async () => {
  const file = new FakeFile();
  file.chunk = 70_000;
  const second = new FakeFile();
  await conforms(() => Promise.resolve(fileMedium("opfs", [file, second])));
});

test("a file in Node", async () => {
  const folder = mkdtempSync(join(tmpdir(), "driftline-"));
  const file = join(folder, "a.journal");
  await conforms(() => openMedium({ file }, "", { storage: undefined, indexedDB: undefined }));
  rmSync(folder, { recursive: true });
});

test("a database", async () => {
  const factory = new IDBFactory() as unknown as globalThis.IDBFactory;
  await conforms(() => indexedDbMedium(factory, "a"));
});

test("a write that fails leaves nothing behind, even where taking it back fails at first", () => {
  const file = new FakeFile();
  const medium = fileMedium("opfs", [file, new FakeFile()]);
  const write = (at: number, letters: string): void => void medium.write?.(0, at, bytes(letters));
  write(0, "kept");
  file.isFull = true;
  assert.throws(() => write(4, "lost"), { name: "QuotaExceededError" });
  assert.equal(new TextDecoder().decode(file.bytes), "kept");
  file.failTruncate = true;
  assert.throws(() => write(4, "lost"));
  assert.equal(new TextDecoder().decode(file.bytes), "keptl", "a torn tail is still there");
  file.isFull = false;
  assert.throws(() => write(4, "!"), /disk is gone/, "nothing is written behind it");
  file.failTruncate = false;
  file.failFlush = true;
  assert.throws(() => write(4, "!"));
  file.failFlush = false;
  write(4, "!");
  assert.equal(new TextDecoder().decode(file.bytes), "kept!");
  file.isFull = file.failTruncate = true;
  assert.throws(() => write(5, "lost"));
  assert.throws(() => medium.write?.(1, 0, bytes("x")), /disk is gone/, "nor is anything written in the other area");
});

test("the ladder: private files, else a database, else memory with a sentence for people", async () => {
  const file = new FakeFile();
  const storage = (grants: boolean): StorageManager =>
    ({
      persisted: () => Promise.resolve(true),
      getDirectory: () =>
        grants
          ? Promise.resolve({
              getDirectoryHandle: () => Promise.resolve(folderOf(file, new FakeFile())),
            })
          : Promise.reject(new DOMException("not in private windows", "SecurityError")),
    }) as unknown as StorageManager;
  const indexedDB = new IDBFactory() as unknown as globalThis.IDBFactory;
  const first = await openMedium("auto", "a", { storage: storage(true), indexedDB });
  assert.deepEqual(await statusOf(first, storage(true)), { kind: "opfs", durable: true, persisted: true, isEmpty: true });
  const second = await openMedium("auto", "a", { storage: storage(false), indexedDB });
  assert.equal(second.kind, "indexeddb");
  const third = await openMedium("auto", "a", { storage: storage(false), indexedDB: undefined });
  const status = await statusOf(third, undefined);
  assert.deepEqual([status.kind, status.durable], ["memory", false]);
  assert.match(status.warning ?? "", /gone when this page is closed.*private windows/i);
});

test("a full disk is told, nothing counts as saved meanwhile, and all of it is once there is room", async () => {
  const file = new FakeFile();
  const troubles: string[] = [];
  const repo = await Repo.open({ worker: () => workerOn(file) });
  repo.on("trouble", ({ kind }) => troubles.push(kind));
  assert.equal(repo.storage.kind, "opfs");
  const note = repo.space("s").create({ body: "a" });
  await note.whenSaved("device", { timeout: 5_000 });
  file.isFull = true;
  note.change((d) => { d.body = "b"; });
  await assert.rejects(note.whenSaved("device", { timeout: 200 }));
  assert.deepEqual([note.saved.device, note.saved.level, note.doc()?.body], [false, "memory", "b"]);
  assert.deepEqual([...new Set(troubles)], ["storeWrite"]);
  file.isFull = false;
  await note.whenSaved("device", { timeout: 10_000 });
  await repo.close();

  const again = await Repo.open({ worker: () => workerOn(file) });
  const same = again.space("s").find<{ body: string }>(note.id);
  await same.whenReady({ timeout: 5_000 });
  assert.equal(same.doc()?.body, "b");
  await again.close();
});

test("a journal of which most is dead is written again, and is as small as what it holds", async (context) => {
  // Logs are compacted when they have been quiet for a while, which is over at once here.
  let ahead = 0;
  const now = performance.now.bind(performance);
  context.mock.method(performance, "now", () => now() + ahead);
  const [file, second] = [new FakeFile(), new FakeFile()];
  const repo = await Repo.open({ worker: () => workerOn(file, second) });
  const note = repo.space("s").create({ body: "" });
  await note.whenReady();
  for (let letter = 0; letter < 3_000; letter++) note.splice(["body"], letter, 0, String.fromCharCode(97 + (letter % 26)));
  await note.whenSaved("device", { timeout: 20_000 });
  const grown = file.bytes.length;
  assert.ok(grown > 400_000, `${grown} bytes`);
  // What the next leader finds should this one be gone at that moment.
  const moments: [FakeFile, FakeFile][] = [];
  second.onWrite = () => moments.push([copyOf(file), copyOf(second)]);
  ahead = 60_000;
  const other = repo.space("s").create({ body: "this wakes the engine" });
  await other.whenSaved("device", { timeout: 10_000 });
  for (const end = now() + 20_000; file.bytes.length > 0 && now() < end; ) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(file.bytes.length, 0, "the old one is given back");
  assert.ok(second.bytes.length < grown / 5, `${second.bytes.length} of ${grown} bytes`);
  second.onWrite = undefined;
  assert.ok(moments.length > 1, "it is written in steps");
  for (const [first, copy] of moments) {
    const next = await Repo.open({ worker: () => workerOn(first, copy) });
    const held = next.space("s").find<{ body: string }>(note.id);
    await held.whenReady({ timeout: 10_000 });
    assert.equal(held.doc()?.body.length, 3_000);
    await next.close();
  }
  note.splice(["body"], 3_000, 0, "!");
  await note.whenSaved("device", { timeout: 10_000 });
  const body = note.doc()?.body;
  await repo.close();
  const again = await Repo.open({ worker: () => workerOn(file, second) });
  const same = again.space("s").find<{ body: string }>(note.id);
  await same.whenReady({ timeout: 10_000 });
  assert.equal(same.doc()?.body, body);
  await again.close();
});

test("bytes that are no journal are left as they are, and nothing is kept meanwhile", async () => {
  const file = new FakeFile();
  file.bytes = bytes("this is somebody's shopping list, and long enough to be a journal of some kind ".repeat(4));
  const before = file.bytes.slice();
  const repo = await Repo.open({ worker: () => workerOn(file) });
  assert.equal(repo.storage.durable, false);
  assert.match(repo.storage.warning ?? "", /cannot be used/);
  const note = repo.space("s").create({ body: "a" });
  await assert.rejects(note.whenSaved("device"), /cannot be used/);
  assert.equal(note.doc()?.body, "a");
  await repo.close();
  assert.deepEqual(file.bytes, before);
});

function copyOf(file: FakeFile): FakeFile {
  const copy = new FakeFile();
  copy.bytes = file.bytes.slice();
  return copy;
}

/** A folder of a store's two files. */
function folderOf(first: FakeFile, second: FakeFile): object {
  const fileOf = (name: string): FakeFile => (name.endsWith("-2") ? second : first);
  return { getFileHandle: (name: string) => Promise.resolve({ createSyncAccessHandle: () => Promise.resolve(fileOf(name)) }) };
}

/** A worker on this thread whose private file system holds `file`, and `second` for when the journal is written again. */
function workerOn(file: FakeFile, second = new FakeFile()): Worker {
  const worker = {
    onmessage: null as ((event: { data: FromHub }) => void) | null,
    postMessage: (message: ToHub) => setTimeout(() => hub.handle(structuredClone(message))),
    terminate() {},
  };
  const directory = { getDirectoryHandle: () => Promise.resolve(folderOf(file, second)) };
  const storage = { getDirectory: () => Promise.resolve(directory) } as unknown as StorageManager;
  const hub = new Hub({ storage, indexedDB: undefined, subtle: undefined, locks: undefined, openChannel: undefined }, (message) => {
    setTimeout(() => worker.onmessage?.({ data: structuredClone(message) }));
  });
  return worker as unknown as Worker;
}
