// y-websocket: the server of @y/websocket-server with its LevelDB, and the provider of y-websocket: a connection for each document.

import * as Y from "yjs";
import { WebSocket } from "ws";
import { WebsocketProvider } from "y-websocket";
import { Text, typed } from "./yjs.mjs";

export async function serve(port, folder) {
  Object.assign(process.env, { HOST: "127.0.0.1", PORT: String(port), YPERSISTENCE: folder });
  await import("../node_modules/@y/websocket-server/src/server.js");
}

export class Client {
  static async connect(port, number) {
    return Object.assign(new Client(), { url: `ws://127.0.0.1:${port}`, number, providers: [] });
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
    const provider = new WebsocketProvider(this.url, name, document, { WebSocketPolyfill: WebSocket, disableBc: true });
    this.providers.push(provider);
    if (!provider.synced) await new Promise((done) => provider.once("sync", done));
    return new Text(name, document);
  }

  leave() {
    for (const provider of this.providers) provider.disconnect();
  }

  comeBack() {
    for (const provider of this.providers) provider.connect();
  }
}
