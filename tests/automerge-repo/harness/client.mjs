/** Clients of automerge-repo as their documentation makes them: nothing of theirs is changed. */

import { Repo } from "@automerge/automerge-repo";
import { WebSocketClientAdapter } from "@automerge/automerge-repo-network-websocket";
import { until } from "./relay.mjs";

/** Wait before a client that was cut off dials again: theirs is five seconds. */
const RETRY_MS = 100;

/** A repo that dials the relay. */
export class Client {
  /** @param {{ name?: string, storage?: object, url: string, gossip?: boolean }} options */
  constructor({ name, storage, url, gossip = false }) {
    this.url = url;
    this.repo = new Repo({ ...(name ? { peerId: name } : {}), ...(storage ? { storage } : {}), enableRemoteHeadsGossiping: gossip });
    this.adapter = null;
  }

  /** Goes online. */
  connect() {
    this.adapter = new WebSocketClientAdapter(this.url, RETRY_MS);
    this.repo.networkSubsystem.addNetworkAdapter(this.adapter);
    return this;
  }

  /** Goes offline. */
  disconnect() {
    const adapter = this.adapter;
    this.adapter = null;
    // A socket that has not opened yet says so when it is closed.
    adapter.socket?.addEventListener?.("error", () => {});
    adapter.emit("close");
    adapter.disconnect();
    // One that was about to dial again would do so all the same.
    adapter.connect = () => {};
  }

  /** Finds a document once the relay is there: their client waits one second for it, and then there is no such document. */
  async find(url) {
    await until("the relay to be there", () => this.adapter?.remotePeerId !== undefined);
    return this.repo.find(url);
  }

  /** Waits until the relay has said that it has everything in these documents. */
  async received(...handles) {
    await until("the relay to have received everything", () => handles.every((handle) => this.isReceived(handle)));
  }

  /** Whether the relay's last word on a document is that it has all that is here. */
  isReceived(handle) {
    const storage = this.relayStorage();
    const info = storage && handle.getSyncInfo(storage);
    return info !== undefined && same(info.lastHeads, handle.heads());
  }

  /** The storage id that the relay has told. */
  relayStorage() {
    const peer = this.adapter?.remotePeerId;
    return peer && this.repo.getStorageIdOfPeer(peer);
  }

  async close() {
    if (this.adapter) this.disconnect();
    await this.repo.shutdown();
  }
}

/** Whether two lists of heads name the same, in whatever order. */
export function same(one, two) {
  return one !== undefined && two !== undefined && one.length === two.length && one.every((head) => two.includes(head));
}

/** Waits until all handles have the same heads. */
export async function equal(...handles) {
  await until("all copies to be equal", () => handles.every((handle) => same(handle.heads(), handles[0].heads())));
}
