/** The ladder of storage: the best medium that this browser grants. */

import type { StorageStatus } from "./api.js";
import { hasIndexedDbJournal, indexedDbMedium } from "./indexeddb.js";
import { fileMedium, type Medium, memoryMedium, type SyncFile } from "./media.js";
import { type NodeFiles, nodeFiles } from "./node.js";
import type { StorageChoice } from "./protocol.js";

/** What of a browser the ladder climbs. */
export interface StorageSurroundings {
  readonly storage: StorageManager | undefined;
  readonly indexedDB: IDBFactory | undefined;
}

/** The folder in the origin's private file system. */
const FOLDER = "driftline";
/** How long an access handle that another tab has not let go of yet is waited for, in milliseconds. */
const HANDLE_MS_MAX = 5_000;

/** Opens the best medium there is for the repo of this name. Never fails: at the worst nothing is kept, with a warning. */
export async function openMedium(choice: StorageChoice, name: string, surroundings: StorageSurroundings): Promise<Medium> {
  if (choice === "memory") return memoryMedium("Nothing is kept on this device: this was asked for.");
  if (typeof choice === "object") return fileMedium("file", await openNodeFiles(choice.file));
  const reasons: string[] = [];
  try {
    const { medium, isNew } = await opfsMedium(surroundings.storage, name);
    // A browser that learned of private files since the store was made: it stays where it is.
    if (!isNew || !(await hasIndexedDbJournal(surroundings.indexedDB, name).catch(() => false))) return medium;
    medium.close();
  } catch (error) {
    if (isLocked(error)) return memoryMedium(warn("another window holds the storage, and does not let go of it; close it, and reload this page"));
    reasons.push(reasonOf(error));
  }
  try {
    if (surroundings.indexedDB === undefined) throw new Error("there is no database");
    return await indexedDbMedium(surroundings.indexedDB, name);
  } catch (error) {
    reasons.push(reasonOf(error));
  }
  return memoryMedium(warn(`the browser grants no storage (${reasons.join("; ")}). Private windows often do not`));
}

function warn(why: string): string {
  return `Nothing is kept on this device, and what no relay has is gone when this page is closed: ${why}.`;
}

/** How a medium stands. */
export async function statusOf(medium: Medium, storage: StorageManager | undefined): Promise<StorageStatus> {
  if (medium.write === undefined) {
    return { kind: medium.kind, durable: false, persisted: false, isEmpty: true, warning: medium.warning ?? "Nothing is kept on this device." };
  }
  const persisted = medium.kind === "file" || (await storage?.persisted?.().catch(() => false)) === true;
  return { kind: medium.kind, durable: true, persisted, isEmpty: true };
}

/** Asks the browser not to evict what is stored; only a page may ask, not a worker. */
export async function requestPersistence(): Promise<boolean> {
  const storage = (globalThis.navigator as Navigator | undefined)?.storage;
  return (await storage?.persist?.().catch(() => false)) === true;
}

/** Whether asking shows people no question: Chromium's browsers decide by themselves, others open a dialog. */
export function persistenceIsQuiet(): boolean {
  const navigator = globalThis.navigator as Navigator | undefined;
  return navigator !== undefined && "userAgentData" in navigator && typeof navigator.storage?.persist === "function";
}

async function opfsMedium(storage: StorageManager | undefined, name: string): Promise<{ medium: Medium; isNew: boolean }> {
  if (typeof storage?.getDirectory !== "function") throw new Error("there is no private file system");
  const root = await storage.getDirectory();
  const folder = await root.getDirectoryHandle(FOLDER, { create: true });
  const deadline = performance.now() + HANDLE_MS_MAX;
  const first = await openHandle(folder, `${encodeURIComponent(name)}.journal`, deadline);
  try {
    const second = await openHandle(folder, `${encodeURIComponent(name)}.journal-2`, deadline);
    return { medium: fileMedium("opfs", [first, second]), isNew: first.getSize() + second.getSize() === 0 };
  } catch (error) {
    first.close();
    throw error;
  }
}

async function openHandle(folder: FileSystemDirectoryHandle, file: string, deadline: number): Promise<SyncFile> {
  const handle = (await folder.getFileHandle(file, { create: true })) as FileSystemFileHandle & {
    createSyncAccessHandle?(): Promise<SyncFile>;
  };
  if (handle.createSyncAccessHandle === undefined) throw new Error("files cannot be written at once here");
  for (;;) {
    try {
      return await handle.createSyncAccessHandle();
    } catch (error) {
      // The tab that wrote it before may still be on its way out.
      if (!isLocked(error) || performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

function isLocked(error: unknown): boolean {
  return error instanceof DOMException && (error.name === "NoModificationAllowedError" || error.name === "InvalidStateError");
}

async function openNodeFiles(path: string): Promise<[SyncFile, SyncFile]> {
  const fs = await nodeFiles();
  const open = (path: string): SyncFile => openNodeFile(fs, path);
  const second = `${path}-2`;
  return [open(path), fs.existsSync(second) ? open(second) : lateFile(() => open(second))];
}

function openNodeFile(fs: NodeFiles, path: string): SyncFile {
  const file = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT);
  return {
    getSize: () => fs.fstatSync(file).size,
    read: (bytes, { at }) => fs.readSync(file, bytes, 0, bytes.length, at),
    write: (bytes, { at }) => fs.writeSync(file, bytes, 0, bytes.length, at),
    truncate: (length) => fs.ftruncateSync(file, length),
    flush: () => fs.fdatasyncSync(file),
    close: () => fs.closeSync(file),
  };
}

/** A file that does not exist until something is written. */
function lateFile(open: () => SyncFile): SyncFile {
  let file: SyncFile | undefined;
  return {
    getSize: () => file?.getSize() ?? 0,
    read: (bytes, options) => file?.read(bytes, options) ?? 0,
    write: (bytes, options) => (file ??= open()).write(bytes, options),
    truncate: (length) => file?.truncate(length),
    flush: () => file?.flush(),
    close: () => file?.close(),
  };
}

/** A sentence's part that says why. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}
