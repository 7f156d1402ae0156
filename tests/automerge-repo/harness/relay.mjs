/** A real relay: the `driftline` binary with a data folder of its own, that can be killed and started again in the same place. */

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

/** The repository's root: the tests run in `tests/automerge-repo`. */
export const ROOT = resolve(process.cwd(), "../..");
export const BINARY = process.env["DRIFTLINE"] ?? join(ROOT, "target/debug/driftline");
const START_MS_MAX = 30_000;

/** The storage id and other names are of no interest to these tests: only what clients see. */
export class Relay {
  #process = null;
  #said = "";

  constructor(port, data) {
    this.port = port;
    this.data = data;
  }

  static async start() {
    if (!existsSync(BINARY)) throw new Error(`there is no relay at ${BINARY}: build it with \`cargo build --bin driftline\`, or say where it is in DRIFTLINE`);
    const relay = new Relay(await freePort(), await mkdtemp(join(tmpdir(), "driftline-automerge-")));
    await relay.start();
    return relay;
  }

  /** Where automerge-repo clients sync. */
  get url() {
    return `ws://127.0.0.1:${this.port}/`;
  }

  /** Where Driftline's own clients sync. */
  get endpoint() {
    return `ws://127.0.0.1:${this.port}/sync`;
  }

  /** Starts it, again after `kill` or `stop`, and waits until it is ready. */
  async start() {
    const child = spawn(BINARY, ["relay", "--listen", `127.0.0.1:${this.port}`, "--data", this.data], { stdio: ["ignore", "pipe", "pipe"] });
    this.#process = child;
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes) => (this.#said = (this.#said + bytes.toString()).slice(-8_000)));
    await until(`the relay to be ready`, async () => {
      if (child.exitCode !== null) throw new Error(`the relay ended with ${child.exitCode}:\n${this.#said}`);
      const answer = await fetch(`http://127.0.0.1:${this.port}/readyz`).catch(() => null);
      return answer?.ok ?? false;
    }, START_MS_MAX);
  }

  /** Ends it as a power cut does. */
  async kill() {
    await this.#end("SIGKILL");
  }

  /** Ends it as an operator does. */
  async stop() {
    await this.#end("SIGTERM");
  }

  /** Ends it and removes what it kept. */
  async remove() {
    await this.kill();
    await rm(this.data, { recursive: true, force: true });
  }

  /** What it last said, for whoever reads a failure. */
  get said() {
    return this.#said;
  }

  async #end(signal) {
    const child = this.#process;
    if (child === null) return;
    this.#process = null;
    const ended = new Promise((done) => child.once("exit", done));
    child.kill(signal);
    await ended;
  }
}

/** Waits until `wanted` answers true; only a failure takes as long as `ms`. */
export async function until(what, wanted, ms = 20_000) {
  const end = Date.now() + ms;
  for (;;) {
    if (await wanted()) return;
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain for ${what}`);
    await new Promise((done) => setTimeout(done, 10));
  }
}

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}
