// The real program, where there is one to try: `DRIFTLINE` is its path.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const program = process.env["DRIFTLINE"];

/** What the tests that need it are told. */
export const NATIVE = { skip: program === undefined };

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts a relay, and waits until it is ready. */
export async function startRelay(port: number, data: string, ...more: string[]): Promise<ChildProcess> {
  const relay = spawn(program as string, ["relay", "--listen", `127.0.0.1:${port}`, "--data", data, ...more], { stdio: "inherit" });
  for (const deadline = Date.now() + 10_000; ; ) {
    try {
      if ((await fetch(`http://127.0.0.1:${port}/readyz`)).ok) return relay;
    } catch {
      // Not listening yet.
    }
    assert.ok(Date.now() < deadline, "the relay starts");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Ends it as a power cut does. */
export async function kill(child: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await gone;
}

/** Runs the program to its end, with this on its standard input; answers what it printed. */
export async function run(words: readonly string[], input = ""): Promise<string> {
  const child = spawn(program as string, words, { stdio: ["pipe", "pipe", "pipe"] });
  let [printed, said] = ["", ""];
  child.stdout.on("data", (bytes: Buffer) => (printed += bytes.toString()));
  child.stderr.on("data", (bytes: Buffer) => (said += bytes.toString()));
  // It may end without reading.
  child.stdin.on("error", () => {}).end(input);
  const code = await new Promise((resolve) => child.once("close", resolve));
  assert.equal(code, 0, `driftline ${words.join(" ")}: ${said}`);
  return printed.trim();
}

/** A folder for the length of `work`. */
export async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "driftline-native-"));
  try {
    await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
