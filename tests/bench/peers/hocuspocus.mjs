// Hocuspocus: its server with its database extension, here over a file for each document, and its provider: one connection for
// all documents of a client. Its SQLite extension is the same extension over a package that fetches a binary from elsewhere.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Database } from "@hocuspocus/extension-database";
import { HocuspocusProvider, HocuspocusProviderWebsocket } from "@hocuspocus/provider";
import { Server } from "@hocuspocus/server";
import * as Y from "yjs";
import { WebSocket } from "ws";
import { Text, typed } from "./yjs.mjs";

/** It closes connections that ask for more documents at once; its usual bound is 100. */
const DOCUMENTS_AT_ONCE = 10_000;

export async function serve(port, folder) {
  await mkdir(folder, { recursive: true });
  const file = (name) => join(folder, `${encodeURIComponent(name)}.yjs`);
  const database = new Database({
    fetch: ({ documentName }) => readFile(file(documentName)).catch(() => null),
    store: ({ documentName, state }) => writeFile(file(documentName), state),
  });
  const server = new Server({ port, address: "127.0.0.1", quiet: true, extensions: [database], maxPendingDocuments: DOCUMENTS_AT_ONCE });
  await server.listen();
}

export class Client {
  static async connect(port, number) {
    const socket = new HocuspocusProviderWebsocket({ url: `ws://127.0.0.1:${port}`, WebSocketPolyfill: WebSocket });
    return Object.assign(new Client(), { socket, number });
  }

  async create(name, text) {
    const created = await this.#join(name, new Y.Doc());
    created.text.insert(0, text);
    return created;
  }

  open(id) {
    return this.#join(id, new Y.Doc());
  }

  async bring({ trace }) {
    return this.#join("long", await typed(trace));
  }

  async #join(name, document) {
    const provider = new HocuspocusProvider({ websocketProvider: this.socket, name, document });
    const synced = new Promise((done) => provider.on("synced", done));
    provider.attach();
    await synced;
    return new Text(name, document);
  }

  leave() {
    this.socket.disconnect();
  }

  comeBack() {
    void this.socket.connect();
  }
}
