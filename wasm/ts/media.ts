/** What a journal is written on. */

/** A run of bytes that survives; or, when `write` is missing, does not. */
export interface Medium {
  readonly kind: "opfs" | "indexeddb" | "file" | "memory";
  /** Why it does not outlive the page: a sentence for people. */
  readonly warning?: string;
  /** All bytes there are. Called once, first. */
  read(): Promise<Uint8Array>;
  /**
   * Drops everything from `at` on, writes `bytes` there, and is done once no crash can undo it. When it fails, it has
   * taken back what it wrote, or does so before it writes again. Called again only when it is done.
   */
  write?(at: number, bytes: Uint8Array): void | Promise<void>;
  close(): void;
}

/** A medium that keeps nothing. */
export function memoryMedium(warning?: string): Medium {
  return { kind: "memory", ...(warning === undefined ? {} : { warning }), read: () => Promise.resolve(new Uint8Array()), close() {} };
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

/** A journal in a file. */
export function fileMedium(kind: "opfs" | "file", file: SyncFile): Medium {
  /** Where the journal ends, when bytes that were never acknowledged may stand behind that. */
  let torn: number | undefined;
  const cut = (length: number): void => {
    file.truncate(length);
    file.flush();
  };
  return {
    kind,
    async read() {
      const bytes = new Uint8Array(file.getSize());
      for (let at = 0; at < bytes.length; ) {
        const count = file.read(bytes.subarray(at), { at });
        if (count === 0) return bytes.subarray(0, at);
        at += count;
      }
      return bytes;
    },
    write(at, bytes) {
      if (torn !== undefined || file.getSize() > at) cut(at);
      torn = at;
      try {
        for (let done = 0; done < bytes.length; ) {
          const count = file.write(bytes.subarray(done), { at: at + done });
          if (count === 0) throw new DOMException("the file takes no more", "QuotaExceededError");
          done += count;
        }
        file.flush();
      } catch (error) {
        cut(at);
        torn = undefined;
        throw error;
      }
      torn = undefined;
    },
    close: () => file.close(),
  };
}
