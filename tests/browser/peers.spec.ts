import { after, before, test } from "node:test";
import { NativePeer } from "./harness/native-peer.ts";
import { Profile } from "./harness/profile.ts";
import { Relay } from "./harness/relay.ts";

let relay: Relay;
before(async () => void (relay = await Relay.start()));
after(() => relay.close());

test("A browser and two native peers keep one notebook, with nothing but the machines of one network. The relay that serves the page may go away and come back.", { timeout: 120_000 }, async (t) => {
  const profile = await Profile.open(t);
  const browser = await profile.tab(`${relay.url}#harbour`);
  await browser.write("Tides", "High at six.\n");
  await browser.waitForRelay();

  // One peer syncs with the relay. The other knows nobody but that peer.
  const near = await NativePeer.start(t, "--space", "harbour", "--relay", relay.endpoint, "--pair");
  const far = await NativePeer.start(t, "--pair", await near.code(), "--dial", await near.address());
  await near.reads("Tides.md", "High at six.\n");
  await far.reads("Tides.md", "High at six.\n");

  await far.write("Tides.md", "High at six.\nLow at noon.\n");
  await browser.waitForText("what the far peer wrote is on the screen", (text) => text === "High at six.\nLow at noon.\n");
  await far.write("Winds.md", "West.\n");
  await browser.open("Winds");
  await browser.waitForText("the far peer's new file is a note", (text) => text === "West.\n");

  // Each goes on while there is no relay, and the peers with each other.
  await relay.kill();
  await browser.place(5);
  await browser.page.keyboard.type(" Rising.");
  await near.write("Tides.md", "High at seven.\nLow at noon.\n");
  await far.reads("Tides.md", "High at seven.\nLow at noon.\n");
  await relay.start();
  await far.reads("Winds.md", "West. Rising.\n");
  await near.reads("Winds.md", "West. Rising.\n");
  await browser.open("Tides");
  await browser.waitForText("what the peers wrote meanwhile is on the screen", (text) => text === "High at seven.\nLow at noon.\n");
});
