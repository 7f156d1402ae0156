/**
 * A journal in IndexedDB: of each area the chunks by the offset at which they begin, each durable when its transaction is complete.
 *
 * Whoever opened it last is its writer. One that opened it before, and should have noticed long ago that it does not lead
 * any more, cannot write over what came since.
 */

import type { Area, Medium } from "./media.js";

/** The chunks of both areas. */
const CHUNKS: Readonly<Record<Area, string>> = ["chunks", "chunks 2"];
const WRITER = "writer";
/** Of the database: 2 since there is a second area. */
const VERSION = 2;
/** A transaction that takes longer than this, in milliseconds, has hung: some browsers' private modes do. */
const OPEN_MS_MAX = 5_000;

/** Opens the journal of this name; fails where there is no IndexedDB, or it grants nothing. */
export async function indexedDbMedium(factory: IDBFactory, name: string): Promise<Medium> {
  const database = await open(factory, `driftline ${name}`);
  let lost: string | undefined;
  database.onclose = () => {
    lost = "the browser has closed the database";
  };
  database.onversionchange = () => database.close();
  const self = [...crypto.getRandomValues(new Uint32Array(4))].join(".");
  return {
    kind: "indexeddb",
    async read() {
      const transaction = database.transaction([CHUNKS[0], CHUNKS[1], WRITER], "readwrite");
      transaction.objectStore(WRITER).put(self, WRITER);
      const all = async (area: Area): Promise<Uint8Array> => {
        const chunks = transaction.objectStore(CHUNKS[area]);
        const [keys, values] = await Promise.all([done(chunks.getAllKeys()), done(chunks.getAll())]);
        return join(keys as number[], values as Uint8Array[]);
      };
      return Promise.all([all(0), all(1)]);
    },
    write(area, at, bytes) {
      if (lost !== undefined) throw new Error(lost);
      return new Promise((resolve, reject) => {
        const transaction = database.transaction([CHUNKS[area], WRITER], "readwrite", { durability: "strict" });
        let refused: Error | undefined;
        transaction.oncomplete = () => resolve();
        transaction.onabort = () => reject(refused ?? transaction.error ?? new Error("the browser has undone the write"));
        const chunks = transaction.objectStore(CHUNKS[area]);
        const writer = transaction.objectStore(WRITER).get(WRITER);
        writer.onsuccess = () => {
          if (writer.result !== self) {
            refused = new Error("another tab writes this store now");
            return transaction.abort();
          }
          chunks.delete(IDBKeyRange.lowerBound(at));
          if (bytes.length > 0) chunks.put(bytes.slice(), at);
        };
      });
    },
    close: () => database.close(),
  };
}

/** Whether there is a journal of this name with anything in it. */
export async function hasIndexedDbJournal(factory: IDBFactory | undefined, name: string): Promise<boolean> {
  if (factory === undefined) return false;
  const database = await open(factory, `driftline ${name}`);
  try {
    const transaction = database.transaction([CHUNKS[0], CHUNKS[1]]);
    const counts = await Promise.all(([0, 1] as const).map((area) => done(transaction.objectStore(CHUNKS[area]).count())));
    return counts.some((count) => count > 0);
  } finally {
    database.close();
  }
}

function open(factory: IDBFactory, name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("the database does not open")), OPEN_MS_MAX);
    const request = factory.open(name, VERSION);
    request.onupgradeneeded = () => {
      const held = request.result.objectStoreNames;
      for (const store of [CHUNKS[0], CHUNKS[1], WRITER]) if (!held.contains(store)) request.result.createObjectStore(store);
    };
    request.onsuccess = () => {
      clearTimeout(timer);
      resolve(request.result);
    };
    request.onerror = () => {
      clearTimeout(timer);
      reject(request.error ?? new Error("the database cannot be opened"));
    };
  });
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("the database cannot be read"));
  });
}

/** Chunks put together; what is missing between two reads as zeros, which recovery then reports. */
function join(keys: readonly number[], values: readonly Uint8Array[]): Uint8Array {
  const last = keys.length - 1;
  const bytes = new Uint8Array(last < 0 ? 0 : (keys[last] as number) + (values[last] as Uint8Array).length);
  keys.forEach((at, index) => bytes.set(values[index] as Uint8Array, at));
  return bytes;
}
