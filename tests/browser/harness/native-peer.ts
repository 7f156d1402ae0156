/** A native peer that keeps a folder: `driftline peer --folder`, as someone on the same network runs it. */

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { promisify } from "node:util";
import { BINARY } from "./relay.ts";

const PATIENCE_MS = 20_000;

/** Something that a peer says of itself: one line of its JSON. */
type Said = { event: string } & Record<string, unknown>;

/** A peer for the length of a test, with a new folder. */
export class NativePeer {
  readonly folder: string;
  readonly #process: ChildProcess;
  readonly #said: Said[] = [];

  private constructor(folder: string, child: ChildProcess) {
    this.folder = folder;
    this.#process = child;
    if (child.stdout) createInterface({ input: child.stdout }).on("line", (line) => this.#said.push(JSON.parse(line) as Said));
  }

  /** Starts one that is found by nobody but whom it is told to call, and who is told where it is. */
  static async start(test: TestContext, ...words: string[]): Promise<NativePeer> {
    const folder = await mkdtemp(join(tmpdir(), "driftline-folder-"));
    const listen = ["--listen", "/ip4/127.0.0.1/udp/0/quic-v1", "--no-mdns"];
    const child = spawn(BINARY, ["peer", "--json", "--folder", folder, ...listen, ...words], { stdio: ["ignore", "pipe", "inherit"] });
    const peer = new NativePeer(folder, child);
    test.after(() => peer.#end());
    return peer;
  }

  /** The code by which another may pair with it. */
  async code(): Promise<string> {
    return String((await when("the peer to say its code", async () => this.#said.find(({ event }) => event === "pairingCode")))["code"]);
  }

  /** Where it can be called. */
  async address(): Promise<string> {
    const asked = async (): Promise<string | undefined> => {
      try {
        const { stdout } = await promisify(execFile)(BINARY, ["peer", "status", "--json", "--folder", this.folder]);
        return (JSON.parse(stdout) as { lan: { addresses: string[] } }).lan.addresses[0];
      } catch {
        return undefined;
      }
    };
    return when("the peer to have an address", asked);
  }

  /** Writes a file, as an editor does. */
  async write(name: string, text: string): Promise<void> {
    await writeFile(join(this.folder, name), text);
  }

  /** Waits until a file reads like this. */
  async reads(name: string, text: string): Promise<void> {
    let found: string | undefined;
    const isRight = async (): Promise<true | undefined> => {
      found = await readFile(join(this.folder, name), "utf8").catch(() => undefined);
      return found === text || undefined;
    };
    await when(() => `${name} to read ${JSON.stringify(text)}, not ${JSON.stringify(found)}`, isRight);
  }

  async #end(): Promise<void> {
    const ended = new Promise((done) => this.#process.once("exit", done));
    if (this.#process.exitCode === null && this.#process.kill("SIGKILL")) await ended;
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Asks until there is an answer. */
async function when<T>(what: string | (() => string), ask: () => Promise<T | undefined>): Promise<T> {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > end) throw new Error(`waited ${PATIENCE_MS} ms in vain for ${typeof what === "string" ? what : what()}`);
    await new Promise((done) => setTimeout(done, 40));
  }
}
