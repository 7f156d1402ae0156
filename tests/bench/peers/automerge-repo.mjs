// automerge-repo: its WebSocket adapters, and files on the server as its own sync server has them. Clients keep what they have in memory.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { splice } from "@automerge/automerge";
import { Repo } from "@automerge/automerge-repo";
import { DummyStorageAdapter } from "@automerge/automerge-repo/helpers/DummyStorageAdapter.js";
import { WebSocketClientAdapter, WebSocketServerAdapter } from "@automerge/automerge-repo-network-websocket";
import { NodeFSStorageAdapter } from "@automerge/automerge-repo-storage-nodefs";
import { WebSocketServer } from "ws";
import { sleep } from "./sockets.mjs";

export async function serve(port, folder) {
  const server = createServer((_, response) => response.end("ok"));
  new Repo({
    network: [new WebSocketServerAdapter(new WebSocketServer({ server }))],
    storage: new NodeFSStorageAdapter(folder),
    // Documents are told of to who asks for them.
    sharePolicy: async () => false,
  });
  server.listen(port, "127.0.0.1");
}

export class Client {
  static async connect(port, number) {
    const client = new Client();
    client.adapter = new WebSocketClientAdapter(`ws://127.0.0.1:${port}/`);
    client.repo = new Repo({ network: [client.adapter], storage: new DummyStorageAdapter(), peerId: `client-${process.pid}-${number}` });
    await client.repo.networkSubsystem.whenReady();
    return client;
  }

  create(_, text) {
    return new Text(this.repo.create({ text }));
  }

  async open(id) {
    for (;;) {
      try {
        return new Text(await this.repo.find(id));
      } catch (error) {
        // The server may have it a moment later.
        if (!String(error).includes("unavailable")) throw error;
        await sleep(100);
      }
    }
  }

  async bring({ automerge }) {
    const handle = this.repo.import(await readFile(automerge));
    await handle.whenReady();
    return new Text(handle);
  }

  leave() {
    this.adapter.disconnect();
  }

  comeBack() {
    this.adapter.connect(this.adapter.peerId, this.adapter.peerMetadata);
  }
}

class Text {
  constructor(handle) {
    this.handle = handle;
    this.length = handle.doc().text.length;
    handle.on("change", ({ doc }) => (this.length = doc.text.length));
  }

  get id() {
    return this.handle.url;
  }

  get text() {
    return this.handle.doc().text;
  }

  append(letter) {
    this.handle.change((doc) => splice(doc, ["text"], this.length, 0, letter));
  }

  whenChanged(call) {
    this.handle.on("change", call);
  }
}
