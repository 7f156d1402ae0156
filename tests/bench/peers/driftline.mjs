// Driftline by its own npm package, as `cargo xtask wasm` builds it: the engine on the main thread, what it holds in memory. Its
// server is the relay, which is not started from here.

import { Repo } from "../../../wasm/dist/index.js";

export class Client {
  static async connect(port, number, space) {
    const name = `client ${process.pid} ${number}`;
    const repo = await Repo.open({ name, relays: [`ws://127.0.0.1:${port}/sync`], storage: "memory" });
    return Object.assign(new Client(), { repo, space: repo.space(space) });
  }

  create(_, text) {
    return new Text(this.space.create({ text }));
  }

  async open(id) {
    const handle = this.space.find(id);
    await handle.whenReady();
    return new Text(handle);
  }

  leave() {
    this.repo.setOnline(false);
  }

  comeBack() {
    this.repo.setOnline(true);
  }
}

class Text {
  constructor(handle) {
    this.handle = handle;
    this.id = handle.id;
  }

  get length() {
    return this.handle.doc().text.length;
  }

  append(letter) {
    this.handle.splice(["text"], this.length, 0, letter);
  }

  whenChanged(call) {
    this.handle.on("change", call);
  }
}
