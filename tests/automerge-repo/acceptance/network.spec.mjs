/**
 * The acceptance tests that automerge-repo exports for network adapters, unmodified, with a relay between their clients; and, of a
 * server, what those of them are about that take two adapters for the ends of one connection.
 */

import assert from "node:assert/strict";
import { Repo } from "@automerge/automerge-repo";
import { eventPromise } from "@automerge/automerge-repo/helpers/eventPromise.js";
import { runNetworkAdapterTests } from "@automerge/automerge-repo/helpers/tests/network-adapter-tests.js";
import { WebSocketClientAdapter } from "@automerge/automerge-repo-network-websocket";
import { afterAll, afterEach, beforeAll, describe, it } from "vitest";
import { Relay, until } from "../harness/relay.mjs";

/** Wait before a client that was cut off dials again: theirs is five seconds. */
const RETRY_MS = 100;

let relay;
const adapters = [];
beforeAll(async () => {
  relay = await Relay.start();
});
afterEach(letGo);
afterAll(() => relay.remove());

function adapter() {
  const made = new WebSocketClientAdapter(relay.url, RETRY_MS);
  const connect = made.connect.bind(made);
  made.connect = (...who) => {
    connect(...who);
    // A socket that is closed before it has opened says so as an error. One of their tests does that where the other client is
    // faster, and by then the adapter listens no more: nobody listening would end the run.
    made.socket.addEventListener("error", () => {});
  };
  adapters.push(made);
  return made;
}

/** Their tests leave their clients connected, and take the same names again. */
function letGo() {
  for (const made of adapters.splice(0)) {
    // One that was about to dial again would do so all the same.
    made.connect = () => {};
    if (made.socket) made.disconnect();
  }
}

runNetworkAdapterTests(async () => ({ adapters: [adapter(), adapter(), adapter()], teardown: letGo }), "clients of a relay");

describe("of a server", () => {
  it("a client is told the server's name and storage, the same to everyone and after a restart", async () => {
    const [a, b] = [adapter(), adapter()];
    const told = [eventPromise(a, "peer-candidate"), eventPromise(b, "peer-candidate")];
    b.connect("b", { storageId: "b" });
    a.connect("a", { storageId: "a" });
    const [first, second] = await Promise.all(told);
    assert.match(first.peerId, /^driftline-relay-/);
    assert.match(first.peerMetadata.storageId, /^[0-9a-f-]{36}$/);
    assert.equal(first.peerMetadata.isEphemeral, false);
    assert.deepEqual(second, first);
    await relay.stop();
    const again = eventPromise(a, "peer-candidate");
    await relay.start();
    assert.deepEqual(await again, first);
  });

  it("who disconnects is told so and nobody else is; when the server goes, everyone is", async () => {
    const [left, right] = [adapter(), adapter()];
    const repos = [new Repo({ network: [left], peerId: "left" }), new Repo({ network: [right], peerId: "right" })];
    const gone = repos.map(() => 0);
    await Promise.all(repos.map((repo) => eventPromise(repo.networkSubsystem, "peer")));
    repos.forEach((repo, at) => repo.networkSubsystem.on("peer-disconnected", () => (gone[at] += 1)));
    left.disconnect();
    await until("the left to be told", () => gone[0] === 1);
    const note = repos[1].create({ title: "still here" });
    await until("the right to go on", () => right.remotePeerId && note.getSyncInfo(repos[1].getStorageIdOfPeer(right.remotePeerId)));
    assert.deepEqual(gone, [1, 0]);
    await relay.stop();
    await until("the right to be told", () => gone[1] === 1);
    await relay.start();
  });

  it("what a client sends after it has disconnected reaches nobody", async () => {
    const [left, right] = [adapter(), adapter()];
    const repos = [new Repo({ network: [left], peerId: "left" }), new Repo({ network: [right], peerId: "right" })];
    await Promise.all(repos.map((repo) => eventPromise(repo.networkSubsystem, "peer")));
    const note = repos[0].create({ title: "one" });
    const storage = repos[0].getStorageIdOfPeer(left.remotePeerId);
    await until("the relay to have it", () => note.getSyncInfo(storage) !== undefined);
    const copy = await repos[1].find(note.url);
    const heard = [];
    copy.on("ephemeral-message", ({ message }) => heard.push(message));
    note.broadcast("before");
    await until("what was sent before to be heard", () => heard.length === 1);
    left.disconnect();
    left.send({ type: "ephemeral", senderId: "left", targetId: left.remotePeerId, documentId: note.documentId, sessionId: "s", count: 99, data: new Uint8Array([0x61, 0x78]) });
    // A third client's message comes after whatever might still come.
    const third = adapter();
    const repo = new Repo({ network: [third], peerId: "third" });
    const same = await repo.find(note.url);
    same.broadcast("after");
    await until("what was sent after to be heard", () => heard.includes("after"));
    assert.deepEqual(heard, ["before", "after"]);
  });
});
