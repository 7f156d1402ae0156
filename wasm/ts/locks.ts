/**
 * Locks between the tabs of a profile where the browser has none of its own: pages that came over plain HTTP from
 * another machine, as a relay in the same house serves them.
 *
 * A lock is a record in a database, with a heartbeat. Whoever waits takes it when it is gone or its heart has stopped. A
 * holder that was asleep for so long learns that it has lost the lock, and whatever it writes afterwards is refused by the
 * store itself (see `indexeddb.ts`).
 */

/** As much of the browser's locks as is used. As there, what was promised is rejected when a lock that is held is lost. */
export interface Locks {
  request(name: string, options: { signal: AbortSignal }, grant: () => Promise<void>): Promise<unknown>;
}

/** How often a holder says that it lives, and one who waits looks, in milliseconds. */
export const BEAT_MS = 1_000;
/** Silence after which a holder counts as gone, in milliseconds. */
export const LEASE_MS = 5_000;

const DATABASE = "driftline locks";
const LEASES = "leases";

interface Lease {
  readonly holder: string;
  readonly beatMs: number;
}

/** Locks kept in a database. */
export function leaseLocks(factory: IDBFactory, clock: () => number = Date.now): Locks {
  let opening: Promise<IDBDatabase> | undefined;
  const database = (): Promise<IDBDatabase> => (opening ??= open(factory));
  return {
    async request(name, { signal }, grant) {
      const holder = [...crypto.getRandomValues(new Uint32Array(4))].join(".");
      const leases = await database();
      while (!(await take(leases, name, holder, clock()))) await sleep(BEAT_MS, signal);
      if (signal.aborted) {
        await drop(leases, name, holder);
        throw signal.reason;
      }
      let timer: ReturnType<typeof setInterval> | undefined;
      const lost = new Promise<never>((_, reject) => {
        timer = setInterval(() => {
          const held = take(leases, name, holder, clock());
          held.then((mine) => mine || reject(new Error("another tab has taken over")), reject);
        }, BEAT_MS);
      });
      try {
        await Promise.race([grant(), lost]);
      } finally {
        clearInterval(timer);
        await drop(leases, name, holder).catch(() => {});
      }
    },
  };
}

/** Takes a lease that is free or overdue, or goes on holding it; answers whether it is held. */
function take(database: IDBDatabase, name: string, holder: string, nowMs: number): Promise<boolean> {
  return change(database, (leases, done) => {
    const request = leases.get(name) as IDBRequest<Lease | undefined>;
    request.onsuccess = () => {
      const lease = request.result;
      // A clock that was set back must not keep a lease alive for ever.
      const isFree = lease === undefined || lease.holder === holder || Math.abs(nowMs - lease.beatMs) > LEASE_MS;
      if (isFree) leases.put({ holder, beatMs: nowMs } satisfies Lease, name);
      done(isFree);
    };
  });
}

function drop(database: IDBDatabase, name: string, holder: string): Promise<boolean> {
  return change(database, (leases, done) => {
    const request = leases.get(name) as IDBRequest<Lease | undefined>;
    request.onsuccess = () => {
      const isMine = request.result?.holder === holder;
      if (isMine) leases.delete(name);
      done(isMine);
    };
  });
}

function change(database: IDBDatabase, work: (leases: IDBObjectStore, done: (answer: boolean) => void) => void): Promise<boolean> {
  return new Promise((resolve, reject) => {
    let answer = false;
    const transaction = database.transaction(LEASES, "readwrite");
    transaction.oncomplete = () => resolve(answer);
    transaction.onabort = () => reject(transaction.error ?? new Error("the browser's database failed"));
    work(transaction.objectStore(LEASES), (given) => {
      answer = given;
    });
  });
}

function open(factory: IDBFactory): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = factory.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(LEASES);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("the browser's database cannot be opened"));
  });
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason as Error);
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal.addEventListener("abort", onAbort, { once: true });
  });
}
