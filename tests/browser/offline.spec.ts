import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { alteredSite } from "./harness/altered-site.ts";
import { Profile } from "./harness/profile.ts";
import type { Notes } from "./harness/notes.ts";
import { Relay } from "./harness/relay.ts";
import { assertEachOnce } from "./harness/typist.ts";

/** The engine's own heartbeat: this long a silence, and this long without an answer, end a connection. With some patience on top. */
const HEARTBEAT_MS = 15_000 + 8_000 + 7_000;

let relay: Relay;
before(async () => void (relay = await Relay.start()));
after(() => relay.close());

test("Two people go offline, change the same paragraph, and reload with the server gone. When they return nothing is lost.", { timeout: 120_000 }, async (t) => {
  const [mara, ines] = await Promise.all([Profile.open(t), Profile.open(t)]);
  const left = await mara.tab(relay.openNotebook());
  await left.write("Pier", "We meet at the pier at six.");
  await left.waitForRelay();
  const right = await ines.tab(left.page.url());
  await right.waitForText("the note has arrived", (text) => text === "We meet at the pier at six.");
  for (const notes of [left, right]) {
    await notes.waitUntilKept();
    await notes.workOffline(true);
    await notes.waitForPhase(["offline"]);
  }
  await left.place("We meet at the pier at ".length);
  await left.page.keyboard.type("half past L1 L2 L3 ");
  await right.place("We meet at the ".length);
  await right.page.keyboard.type("northern R1 R2 R3 ");
  // Nothing but what is on each device is left to load from.
  await relay.kill();
  for (const notes of [left, right]) {
    assert.match((await notes.get("status").textContent()) ?? "", /Working offline.*saved on this device/);
    await notes.reload();
    assert.equal(await notes.phase(), "offline", "the switch stays where it was put");
  }
  await left.waitForText("the left kept its words", (text) => text === "We meet at the pier at half past L1 L2 L3 six.");
  await right.waitForText("the right kept its words", (text) => text === "We meet at the northern R1 R2 R3 pier at six.");
  await left.page.locator(".body-editor .cm-content").press("ControlOrMeta+End");
  await left.page.keyboard.type(" L4");
  await relay.start();
  await Promise.all([left.workOffline(false), right.workOffline(false)]);
  const wanted = "We meet at the northern R1 R2 R3 pier at half past L1 L2 L3 six. L4";
  await left.waitForText("the left has both", (text) => text === wanted, 30_000);
  await right.waitForText("the right has both", (text) => text === wanted, 30_000);
  await Promise.all([left.waitForRelay(), right.waitForRelay()]);
});

test("The relay is killed while someone types, and comes back. The status line says so both times, and nothing is lost.", { timeout: 120_000 }, async (t) => {
  const [mara, ines] = await Promise.all([Profile.open(t), Profile.open(t)]);
  const left = await mara.tab(relay.openNotebook());
  await left.write("Storm", "Log: ");
  await left.waitForRelay();
  const right = await ines.tab(left.page.url());
  await right.waitForText("the note has arrived", (text) => text === "Log: ");
  await left.page.locator(".body-editor .cm-content").press("ControlOrMeta+End");
  const tokens: string[] = [];
  const type = async (seconds: number): Promise<void> => {
    const end = Date.now() + seconds * 1_000;
    while (Date.now() < end) {
      const token = `k${String(tokens.length + 1).padStart(3, "0")}`;
      await left.page.keyboard.type(`${token} `, { delay: 30 });
      tokens.push(token);
    }
  };
  await type(2);
  await Promise.all([type(3), relay.kill()]);
  await left.waitForPhase(["unreachable", "connecting"]);
  // What was typed without a relay is not said to be on one.
  await type(2);
  assert.notEqual(await left.phase(), "relay");
  await left.get("status").click();
  await left.until("the details say what is missing", () => left.get("status-details").innerText(), (words) => /does not answer|Calling/.test(words) && /not known to hold/.test(words));
  await left.page.keyboard.press("Escape");
  await left.page.locator(".body-editor .cm-content").press("ControlOrMeta+End");
  await Promise.all([type(3), relay.start()]);
  await left.waitForRelay(40_000);
  const text = await left.text();
  assertEachOnce(text, tokens);
  await right.waitForText("the other has all of it", (there) => there === text, 40_000);
});

test("The network turns into a black hole: the socket stays open and nothing passes. The page notices by its own heartbeat, and recovers.", { timeout: 120_000 }, async (t) => {
  const mara = await Profile.open(t);
  const notes = await mara.tab(relay.url);
  await notes.write("Fog", "Visibility: ");
  await notes.waitForRelay();
  await mara.context.setOffline(true);
  await notes.page.locator(".body-editor .cm-content").press("ControlOrMeta+End");
  await notes.page.keyboard.type("none");
  await notes.until("it does not claim that the relay has it", () => notes.phase(), (phase) => phase !== "relay");
  await notes.waitForPhase(["noNetwork", "unreachable"], HEARTBEAT_MS);
  await mara.context.setOffline(false);
  await notes.waitForRelay(40_000);
  assert.equal(await notes.text(), "Visibility: none");
});

test("A new version of the app waits until it is asked for; both tabs go on as they are until then, and nothing written is lost.", { timeout: 60_000 }, async (t) => {
  let isSecond = false;
  const address = await alteredSite(t, relay, (path, text) => {
    if (!isSecond) return text;
    if (path === "/sw.js") return text.replace(/"version":"\w+"/, '"version":"second"');
    return path === "/" ? text.replace("<title>", '<meta name="generation" content="second"><title>') : text;
  });
  const generation = (notes: Notes): Promise<string | null> => notes.page.evaluate(() => document.querySelector('meta[name="generation"]')?.getAttribute("content") ?? null);
  const mara = await Profile.open(t);
  const first = await mara.tab(address);
  await first.write("Versions", "Written under the first.");
  await first.waitForRelay();
  await first.waitUntilKept();
  const second = await mara.tab(first.page.url());
  await second.open("Versions");
  isSecond = true;
  await first.reload();
  await first.get("toast-action").waitFor();
  assert.equal(await generation(first), null, "a reload alone does not change the version under someone's feet");
  await first.get("toast-action").click();
  await first.until("the second version is there", () => generation(first).catch(() => null), (content) => content === "second");
  await first.get("status").waitFor();
  await first.waitForText("with what was written", (text) => text === "Written under the first.");
  await second.page.locator(".body-editor .cm-content").press("ControlOrMeta+End");
  await second.page.keyboard.type(" And still.");
  await first.waitForText("the other tab goes on", (text) => text === "Written under the first. And still.");
});
