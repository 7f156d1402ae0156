/**
 * The replica's secret key at rest: sealed (AES-GCM) by a key that the browser keeps in its database and hands out to no script.
 *
 * The engine signs in the middle of its work and cannot wait, so it is given the key itself for as long as it runs. What lies on the disk, and what a copy of the
 * profile's files or of the journal shows, is not enough to be this replica. What that does not keep from a script of the same origin: see
 * `docs/decisions/0020-keys-in-a-browser.md`.
 */

import { documentsIn, identityIn, withoutIdentity } from "./engine.js";
import type { Medium } from "./media.js";
import { replaceJournal } from "./restore.js";
import { reasonOf } from "./storage.js";

/** What is needed of a browser. */
export interface KeySurroundings {
  readonly indexedDB: IDBFactory | undefined;
  readonly subtle: SubtleCrypto | undefined;
}

/** A key that was sealed cannot be opened: the store must be left as it is. */
export class KeyLocked extends Error {}

interface Sealed {
  readonly by: CryptoKey;
  readonly iv: Uint8Array;
  readonly secret: ArrayBuffer;
  /** Whether the journal has it no more. */
  readonly isAlone: boolean;
}

type Journal = [Uint8Array, Uint8Array];

const DATABASE = "driftline keys";
const KEYS = "keys";
const SECRET_BYTES = 32;
const IV_BYTES = 12;

/** The key of the store of this name, and its journal, out of which it was taken where it stood in it. No key where it is to be the journal's own, because nothing better is granted. */
export async function openKey(around: KeySurroundings, name: string, medium: Medium): Promise<{ key: Uint8Array | undefined; journal: Journal }> {
  const journal = await medium.read();
  const { indexedDB, subtle } = around;
  const isKept = medium.kind === "opfs" || medium.kind === "indexeddb";
  const database = isKept && subtle !== undefined ? await open(indexedDB).catch(() => undefined) : undefined;
  if (database === undefined || subtle === undefined) return { key: undefined, journal };
  try {
    const sealed = await read(database, name);
    if (sealed?.isAlone) return { key: await unseal(subtle, sealed), journal };
    // From before there were sealed keys, or just restored, or ended in the middle of the next lines.
    const isNew = journal[0].length + journal[1].length === 0;
    const stored = isNew ? undefined : identityIn(...journal);
    if (stored === undefined && !isNew && documentsIn(...journal) > 0) {
      throw new KeyLocked("the key of this device is gone from the browser's database, where it was sealed");
    }
    const key = stored ?? crypto.getRandomValues(new Uint8Array(SECRET_BYTES));
    const made = await seal(database, subtle, name, key);
    if (made === undefined) return { key: undefined, journal };
    const isAlone = stored === undefined || (await forget(medium, journal));
    if (isAlone) await write(database, name, { ...made, isAlone });
    return { key, journal: stored === undefined ? journal : await medium.read() };
  } finally {
    database.close();
  }
}

/** Forgets the sealed key of the store of this name: another is about to stand in its journal. */
export async function dropKey({ indexedDB }: KeySurroundings, name: string): Promise<void> {
  const database = await open(indexedDB).catch(() => undefined);
  if (database === undefined) return;
  try {
    await write(database, name, undefined);
  } finally {
    database.close();
  }
}

async function unseal(subtle: SubtleCrypto, { by, iv, secret }: Sealed): Promise<Uint8Array> {
  try {
    return new Uint8Array(await subtle.decrypt({ name: "AES-GCM", iv: iv as BufferSource }, by, secret));
  } catch (error) {
    throw new KeyLocked(`the key of this device is sealed, and this browser cannot open it any more (${reasonOf(error)})`);
  }
}

/** Seals a key and reads it back; answers nothing where that cannot be relied on. */
async function seal(database: IDBDatabase, subtle: SubtleCrypto, name: string, secret: Uint8Array): Promise<Sealed | undefined> {
  try {
    const by = await subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
    const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
    const sealed: Sealed = { by, iv, isAlone: false, secret: await subtle.encrypt({ name: "AES-GCM", iv }, by, secret as BufferSource) };
    await write(database, name, sealed);
    const again = await read(database, name);
    const opened = again === undefined ? [] : await unseal(subtle, again);
    return secret.every((byte, at) => opened[at] === byte) ? sealed : undefined;
  } catch {
    // Some private windows keep no keys.
    return undefined;
  }
}

/** Takes the key out of the journal, and with it the bytes in which it once stood; answers whether that could be done now. */
async function forget(medium: Medium, journal: Journal): Promise<boolean> {
  const without = withoutIdentity(...journal);
  if (without !== undefined) await replaceJournal(medium, journal, without);
  return without !== undefined;
}

function open(factory: IDBFactory | undefined): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    if (factory === undefined) return reject(new Error("there is no database"));
    const request = factory.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(KEYS);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("the browser's database cannot be opened"));
  });
}

function read(database: IDBDatabase, name: string): Promise<Sealed | undefined> {
  return new Promise((resolve, reject) => {
    const request = database.transaction(KEYS).objectStore(KEYS).get(name) as IDBRequest<Sealed | undefined>;
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("the browser's database cannot be read"));
  });
}

function write(database: IDBDatabase, name: string, sealed: Sealed | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(KEYS, "readwrite", { durability: "strict" });
    const keys = transaction.objectStore(KEYS);
    if (sealed === undefined) keys.delete(name);
    else keys.put(sealed, name);
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error("the browser has undone the write"));
  });
}
