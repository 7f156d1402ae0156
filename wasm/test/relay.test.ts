// The real relay, when there is one to try: `DRIFTLINE` is the program's path.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Repo, splice } from "driftline";
import { firstDocument } from "../examples/first-document.js";
import { eventually } from "./support/eventually.js";

const program = process.env["DRIFTLINE"];

interface Note {
  title: string;
  body: string;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function start(port: number, data: string): Promise<ChildProcess> {
  const relay = spawn(program as string, ["relay", "--listen", `127.0.0.1:${port}`, "--data", data], { stdio: "inherit" });
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

test("two replicas write through the real relay, which is killed in between, and lose nothing", { skip: program === undefined }, async () => {
  const data = mkdtempSync(join(tmpdir(), "driftline-relay-"));
  const port = await freePort();
  const endpoint = `ws://127.0.0.1:${port}/sync`;
  let relay = await start(port, data);
  const { repo, note } = await firstDocument(endpoint, "harbour");
  const other = await Repo.open({ relays: [endpoint], storage: "memory" });
  const same = other.space("harbour").find<Note>(note.id);
  await same.whenReady({ timeout: 5_000 });
  assert.deepEqual(same.doc(), note.doc());

  const gone = new Promise((resolve) => relay.once("exit", resolve));
  relay.kill("SIGKILL");
  await gone;
  note.change((d) => splice(d, ["body"], 0, 0, "A"));
  same.change((d) => splice(d, ["body"], d.body.length, 0, "Z"));
  await eventually("both notice", () => repo.connections[0]?.state !== "connected" && other.connections[0]?.state !== "connected");
  relay = await start(port, data);
  await Promise.all([note.whenSaved({ relays: 1 }, { timeout: 20_000 }), same.whenSaved({ relays: 1 }, { timeout: 20_000 })]);
  await eventually("both show both", () => note.doc()?.body === "AShips and gullsZ" && same.doc()?.body === "AShips and gullsZ");
  await Promise.all([repo.close(), other.close()]);
  relay.kill("SIGTERM");
  rmSync(data, { recursive: true });
});
