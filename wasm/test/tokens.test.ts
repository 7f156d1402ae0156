// Tokens of relays that let in whoever shows one: shown to the relay, and to nobody else.

import assert from "node:assert/strict";
import { test } from "node:test";
import { invitationIn, Repo } from "driftline";
import { addressWith, relayOf } from "#dist/relays.js";
import { eventually } from "./support/eventually.js";
import { Profile } from "./support/profile.js";
import { PipeRelay } from "./support/relay.js";

test("a token is kept apart from the address, however it was given", () => {
  const plain = { url: "wss://h/sync" };
  assert.deepEqual(relayOf("wss://h/sync"), plain);
  assert.deepEqual(relayOf("wss://h/sync?token="), plain);
  for (const given of ["wss://h/sync?token=drift_x", { url: "wss://h/sync", token: "drift_x" }, { url: "wss://h/sync?token=old", token: "drift_x" }]) {
    assert.deepEqual(relayOf(given), { ...plain, token: "drift_x" });
  }
  assert.deepEqual(relayOf("wss://h/sync?a=1&token=t&b=2"), { url: "wss://h/sync?a=1&b=2", token: "t" });
  assert.equal(addressWith("wss://h/sync?a=1", "t"), "wss://h/sync?a=1&token=t");
  assert.equal(addressWith("wss://h/sync", undefined), "wss://h/sync");
  for (const token of ["", "a b", "a&b", "ä", "x".repeat(257)]) {
    assert.throws(() => relayOf({ url: "wss://h/sync", token }), (error: Error) => /is none/.test(error.message) && (token === "" || !error.message.includes(token)));
  }
});

test("a page that shows no token is told so, and is let in once it shows one; no status and no link has it", async () => {
  const relay = new PipeRelay("by invitation");
  relay.token = "drift_good";
  await assert.rejects(Repo.open({ relays: [{ url: relay.endpoint, token: "no token" }] }), /is none/);
  const profile = new Profile();
  const { repo } = await profile.open({ relays: [relay.endpoint] });
  const { repo: second } = await profile.open();
  const refused = (): boolean => [repo, second].every(({ connections }) => connections.some(({ wantsToken, reason }) => wantsToken === true && /wants a token/.test(reason ?? "")));
  await eventually("both tabs know", refused);
  second.addRelay({ url: relay.endpoint, token: "drift_bad" });
  await eventually("another is asked for", () => relay.refusals > 1 && refused());
  second.addRelay({ url: relay.endpoint, token: "drift_good" });
  const isIn = (): boolean => [repo, second].every(({ connections }) => connections.some(({ state, wantsToken }) => state === "connected" && wantsToken === undefined));
  await eventually("it is let in", isIn);
  const mine = await second.foundSpace();
  const link = await mine.share({ level: "read" });
  const text = Buffer.from(invitationIn(link)?.split("#")[1] ?? "", "base64url").toString("latin1");
  assert.ok(text.includes(relay.endpoint) && !text.includes("drift_good"), text);
  assert.ok(!JSON.stringify([repo.connections, second.connections]).includes("drift_good"));
  // The next that leads is told it by whoever knows it.
  await repo.close();
  await eventually("it is still let in", () => second.role === "leader" && second.connections.some(({ state }) => state === "connected"));
  second.removeRelay(relay.endpoint);
  assert.deepEqual(second.connections.length, 1);
  await eventually("and lets go", () => second.connections.length === 0);
  await second.close();
  relay.stop();
});

test("a relay that is removed before it was dialled is not shown again", async () => {
  const relay = new PipeRelay("removed at once");
  const repo = await Repo.open({ storage: "memory" });
  repo.addRelay(relay.endpoint);
  repo.removeRelay(relay.endpoint);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(repo.connections, []);
  await repo.close();
  relay.stop();
});
