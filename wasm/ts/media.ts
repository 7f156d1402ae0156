/** What a journal is written on. */

/** One of a medium's two runs of bytes: the journal is in one of them, and is written again in the other. */
export type Area = 0 | 1;

/** Two runs of bytes that survive; or, when `write` is missing, do not. */
export interface Medium {
  readonly kind: "opfs" | "indexeddb" | "file" | "memory";
  /** Why it does not outlive the page: a sentence for people. */
  readonly warning?: string;
  /** All bytes there are in both areas. Called first. */
  read(): Promise<[Uint8Array, Uint8Array]>;
  /**
   * Drops everything from `at` on in an area, writes `bytes` there, and is done once no crash can undo it. When it fails, it
   * has taken back what it wrote, or does so before it writes anything again. Called again only when it is done.
   */
  write?(area: Area, at: number, bytes: Uint8Array): void | Promise<void>;
  close(): void;
}

/** A medium that keeps nothing. */
export function memoryMedium(warning?: string): Medium {
  return { kind: "memory", ...(warning === undefined ? {} : { warning }), read: () => Promise.resolve([new Uint8Array(), new Uint8Array()]), close() {} };
}

/** A file that can be written and synced at once: an OPFS access handle, or Node's. */
export interface SyncFile {
  getSize(): number;
  read(bytes: Uint8Array, options: { at: number }): number;
  write(bytes: Uint8Array, options: { at: number }): number;
  truncate(length: number): void;
  flush(): void;
  close(): void;
}

/** A journal in two files, of which one is empty most of the time. */
export function fileMedium(kind: "opfs" | "file", files: readonly [SyncFile, SyncFile]): Medium {
  /** Where each file ends, when bytes that were never acknowledged may stand behind that. */
  const torn: [number | undefined, number | undefined] = [undefined, undefined];
  const cut = (area: Area, length: number): void => {
    files[area].truncate(length);
    files[area].flush();
    torn[area] = undefined;
  };
  const mend = (): void => {
    for (const area of [0, 1] as const) if (torn[area] !== undefined) cut(area, torn[area]);
  };
  return {
    kind,
    async read() {
      return [readAll(files[0]), readAll(files[1])];
    },
    write(area, at, bytes) {
      mend();
      const file = files[area];
      if (file.getSize() > at) cut(area, at);
      if (bytes.length === 0) return;
      torn[area] = at;
      try {
        for (let done = 0; done < bytes.length; ) {
          const count = file.write(bytes.subarray(done), { at: at + done });
          if (count === 0) throw new DOMException("the file takes no more", "QuotaExceededError");
          done += count;
        }
        file.flush();
      } catch (error) {
        cut(area, at);
        throw error;
      }
      torn[area] = undefined;
    },
    close: () => files.forEach((file) => file.close()),
  };
}

function readAll(file: SyncFile): Uint8Array {
  const bytes = new Uint8Array(file.getSize());
  for (let at = 0; at < bytes.length; ) {
    const count = file.read(bytes.subarray(at), { at });
    if (count === 0) return bytes.subarray(0, at);
    at += count;
  }
  return bytes;
}
