/** A bridge between a Driftline relay and a server of automerge-repo that knows nothing of Driftline. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { WebSocketServer } from "ws";
import { Repo } from "@automerge/automerge-repo";
import { splice } from "@automerge/automerge-repo/slim";
import { WebSocketServerAdapter } from "@automerge/automerge-repo-network-websocket";
import { Client, equal } from "../harness/client.mjs";
import { BINARY, Relay, until } from "../harness/relay.mjs";

/** An automerge-repo server as its documentation makes one. */
async function theirServer() {
  const sockets = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await new Promise((done) => sockets.once("listening", done));
  const repo = new Repo({ network: [new WebSocketServerAdapter(sockets)], peerId: "their-server", sharePolicy: async () => false });
  return { url: `ws://127.0.0.1:${sockets.address().port}`, repo, sockets };
}

test("documents go over a bridge to an automerge-repo server and back, and are fetched from it by name", async () => {
  const [relay, theirs] = [await Relay.start(), await theirServer()];
  const ours = new Client({ url: relay.url }).connect();
  const there = new Client({ url: theirs.url }).connect();
  const note = ours.repo.create({ title: "from here", body: "" });
  const other = there.repo.create({ title: "from there", body: "" });
  await ours.received(note);
  let said = "";
  const bridge = spawn(BINARY, ["bridge", theirs.url, "--relay", relay.endpoint, "--document", other.url], { stdio: ["ignore", "pipe", "pipe"] });
  for (const stream of [bridge.stdout, bridge.stderr]) stream.on("data", (bytes) => (said += bytes.toString()));
  try {
    await until("the bridge to stand", () => {
      assert.equal(bridge.exitCode, null, said);
      return said.includes("their-server");
    });
    const find = async (client, url) => {
      let found = null;
      await until(`${url} to be there`, async () => (found = await client.find(url).catch(() => null)) !== null);
      return found;
    };
    const noteThere = await find(there, note.url);
    const otherHere = await find(ours, other.url);
    assert.equal(otherHere.doc().title, "from there");
    for (let at = 0; at < 10; at++) {
      for (const [handle, word] of [[note, "a"], [noteThere, "b"], [other, "c"], [otherHere, "d"]]) {
        handle.change((doc) => splice(doc, ["body"], 0, 0, `${word}${at} `));
      }
    }
    await equal(note, noteThere);
    await equal(other, otherHere);
    for (let at = 0; at < 10; at++) for (const word of ["a", "b"]) assert.ok(note.doc().body.includes(`${word}${at} `));
    // And one that is made while the bridge stands.
    const late = ours.repo.create({ title: "late" });
    const lateThere = await find(there, late.url);
    assert.equal(lateThere.doc().title, "late");
  } finally {
    const ended = new Promise((done) => bridge.once("exit", done));
    bridge.kill("SIGINT");
    await ended;
    await ours.close();
    await there.close();
    theirs.sockets.clients.forEach((socket) => socket.terminate());
    theirs.sockets.close();
    await relay.remove();
  }
});
