// The real relay, when there is one to try: `DRIFTLINE` is the program's path.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Repo, splice } from "driftline";
import { firstDocument } from "../examples/first-document.js";
import { eventually } from "./support/eventually.js";
import { freePort, kill, NATIVE, startRelay } from "./support/native.js";

interface Note {
  title: string;
  body: string;
}

test("two replicas write through the real relay, which is killed in between, and lose nothing", NATIVE, async () => {
  const data = mkdtempSync(join(tmpdir(), "driftline-relay-"));
  const port = await freePort();
  const endpoint = `ws://127.0.0.1:${port}/sync`;
  let relay = await startRelay(port, data);
  const { repo, note } = await firstDocument(endpoint, "harbour");
  const other = await Repo.open({ relays: [endpoint], storage: "memory" });
  const same = other.space("harbour").find<Note>(note.id);
  await same.whenReady({ timeout: 5_000 });
  assert.deepEqual(same.doc(), note.doc());

  await kill(relay);
  note.change((d) => splice(d, ["body"], 0, 0, "A"));
  same.change((d) => splice(d, ["body"], d.body.length, 0, "Z"));
  await eventually("both notice", () => repo.connections[0]?.state !== "connected" && other.connections[0]?.state !== "connected");
  relay = await startRelay(port, data);
  await Promise.all([note.whenSaved({ relays: 1 }, { timeout: 20_000 }), same.whenSaved({ relays: 1 }, { timeout: 20_000 })]);
  await eventually("both show both", () => note.doc()?.body === "AShips and gullsZ" && same.doc()?.body === "AShips and gullsZ");
  await Promise.all([repo.close(), other.close()]);
  relay.kill("SIGTERM");
  rmSync(data, { recursive: true });
});
