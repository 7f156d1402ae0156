/** A client of automerge-repo as its documentation makes one, in Node: nothing of it is changed. */

import { type DocHandle, Presence, Repo, type StorageId, splice } from "@automerge/automerge-repo";
import { WebSocketClientAdapter } from "@automerge/automerge-repo-network-websocket";
import type { TestContext } from "node:test";
import type { Text } from "./letters.ts";

/** Wait before a client that was cut off dials again: theirs is five seconds. */
const RETRY_MS = 100;

/** The document that everyone writes in. */
export interface Note {
  title: string;
  body: string;
}

/** A repo that dials a relay for the length of a test. */
export class Guest {
  readonly repo = new Repo();
  readonly #url: string;
  #adapter: WebSocketClientAdapter | null = null;

  constructor(test: TestContext, url: string) {
    this.#url = url;
    this.connect();
    test.after(async () => {
      if (this.#adapter) this.disconnect();
      await this.repo.shutdown();
    });
  }

  /** Goes online. */
  connect(): void {
    this.#adapter = new WebSocketClientAdapter(this.#url, RETRY_MS);
    this.repo.networkSubsystem.addNetworkAdapter(this.#adapter);
  }

  /** Goes offline. */
  disconnect(): void {
    const adapter = this.#adapter;
    if (adapter === null) return;
    this.#adapter = null;
    // A socket that has not opened yet says so when it is closed.
    adapter.socket?.addEventListener("error", () => {});
    adapter.emit("close");
    adapter.disconnect();
    // One that was about to dial again would do so all the same.
    adapter.connect = () => {};
  }

  /** Whether the relay's last word is that it has all of this document. */
  isReceived(handle: DocHandle<Note>): boolean {
    const storage = this.#relayStorage();
    const heads = storage === undefined ? undefined : handle.getSyncInfo(storage)?.lastHeads;
    return heads !== undefined && heads.length === handle.heads().length && heads.every((head) => handle.heads().includes(head));
  }

  /** Whether it is connected, and has been told by whom. */
  get isConnected(): boolean {
    return this.#relayStorage() !== undefined;
  }

  #relayStorage(): StorageId | undefined {
    const peer = this.#adapter?.remotePeerId;
    return peer === undefined ? undefined : this.repo.getStorageIdOfPeer(peer);
  }
}

/** The body of a note, to type into. */
export function bodyOf(handle: DocHandle<Note>): Text {
  // It tells of its own changes and of others' alike: of its own while it makes them.
  let isOwn = false;
  return {
    read: () => handle.doc().body,
    insert: (at, letters) => {
      isOwn = true;
      handle.change((doc) => splice(doc, ["body"], at, 0, letters));
      isOwn = false;
    },
    onInsert: (listener) => {
      handle.on("change", ({ patches }) => {
        if (isOwn) return;
        for (const patch of patches) {
          if (patch.action === "splice" && patch.path[0] === "body") listener(Number(patch.path[1]), patch.value.length);
        }
      });
    },
  };
}

/** Shows this name in a note; answers the names that others show there. */
export function showName(test: TestContext, handle: DocHandle<Note>, name: string): () => string[] {
  const presence = new Presence<{ name: string }, Note>({ handle });
  presence.start({ initialState: { name } });
  test.after(() => presence.stop());
  return () => Object.values(presence.getPeerStates().value).map(({ value }) => value.name);
}
