/** A real relay: the `driftline` binary, serving the built demo, with a data folder of its own. */

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

/** The repository's root: the tests run in `tests/browser`. */
const ROOT = resolve(process.cwd(), "../..");
export const BINARY = process.env["DRIFTLINE_BIN"] ?? process.env["DRIFTLINE"] ?? join(ROOT, "target/debug/driftline");
const BUILT = process.env["DRIFTLINE_DEMO"] ?? join(ROOT, "web-demo/dist");
const START_MS_MAX = 30_000;

/** A relay that can be killed and started again on the same port and data. */
export class Relay {
  readonly port: number;
  readonly data: string;
  readonly #more: readonly string[];
  #process: ChildProcess | null = null;
  #said = "";

  private constructor(port: number, data: string, more: readonly string[]) {
    this.port = port;
    this.data = data;
    this.#more = more;
  }

  /** Starts one, on a free port, and tells it this besides. */
  static async start(...more: string[]): Promise<Relay> {
    if (!existsSync(BINARY)) throw new Error(`there is no relay at ${BINARY}: build it with \`cargo build --bin driftline\`, or set DRIFTLINE_BIN`);
    if (!existsSync(join(BUILT, "index.html"))) throw new Error(`there is no built demo at ${BUILT}: run \`npm run build\` in web-demo`);
    const relay = new Relay(await freePort(), await mkdtemp(join(tmpdir(), "driftline-relay-")), more);
    await relay.start();
    return relay;
  }

  /** Where the demo is served. */
  get url(): string {
    return `http://localhost:${this.port}/`;
  }

  /** A notebook there that is open, and new: whoever has its address may read and write. */
  openNotebook(): string {
    return `${this.url}#${randomUUID()}`;
  }

  /** Where it syncs. */
  get endpoint(): string {
    return `ws://localhost:${this.port}/sync`;
  }

  /** Starts it, again after `kill`, and waits until it is ready. */
  async start(): Promise<void> {
    const child = spawn(BINARY, ["relay", "--listen", `127.0.0.1:${this.port}`, "--data", this.data, "--web", BUILT, ...this.#more], { stdio: ["ignore", "pipe", "pipe"] });
    this.#process = child;
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes: Buffer) => (this.#said = (this.#said + bytes.toString()).slice(-8_000)));
    const until = Date.now() + START_MS_MAX;
    while (!(await this.#isReady())) {
      if (child.exitCode !== null) throw new Error(`the relay ended with ${child.exitCode}:\n${this.#said}`);
      if (Date.now() > until) throw new Error(`the relay is not ready after ${START_MS_MAX} ms:\n${this.#said}`);
      await new Promise((done) => setTimeout(done, 25));
    }
  }

  /** Ends it without a word, as a power cut would. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (!child || child.exitCode !== null) return;
    const ended = new Promise((done) => child.once("exit", done));
    child.kill("SIGKILL");
    await ended;
  }

  /** Ends it and removes its data. */
  async close(): Promise<void> {
    await this.kill();
    await rm(this.data, { recursive: true, force: true });
  }

  /** What a command of the same binary prints, run as another replica of its own. */
  async doc(...words: string[]): Promise<string> {
    const home = await mkdtemp(join(tmpdir(), "driftline-doc-"));
    try {
      const { stdout } = await promisify(execFile)(BINARY, ["doc", ...words, "--relay", this.endpoint, "--data", home], { maxBuffer: 64 << 20 });
      return stdout;
    } finally {
      await rm(home, { recursive: true, force: true });
    }
  }

  async #isReady(): Promise<boolean> {
    try {
      return (await fetch(`${this.url}readyz`, { signal: AbortSignal.timeout(1_000) })).ok;
    } catch {
      return false;
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  if (address === null || typeof address === "string") throw new Error("no port is free");
  return address.port;
}
