import { after, before, test } from "node:test";
import { Profile } from "./harness/profile.ts";
import { Relay } from "./harness/relay.ts";

let relay: Relay;
before(async () => void (relay = await Relay.start()));
after(() => relay.close());

test("Two tabs of one browser stay in step, also with the relay gone; when the tab that led closes, the other carries on and keeps what is written.", { timeout: 120_000 }, async (t) => {
  const mara = await Profile.open(t);
  const first = await mara.tab(relay.openNotebook());
  await first.write("Tabs", "One");
  await first.waitForRelay();
  await first.waitUntilKept();
  const second = await mara.tab(first.page.url());
  await second.waitForText("the second tab has the note", (text) => text === "One");
  await second.page.locator(".body-editor .cm-content").press("ControlOrMeta+End");
  await second.page.keyboard.type(" two");
  await first.waitForText("what the second wrote is in the first", (text) => text === "One two");

  await relay.kill();
  await first.page.locator(".body-editor .cm-content").press("ControlOrMeta+End");
  await first.page.keyboard.type(" three");
  await second.waitForText("without a relay, too", (text) => text === "One two three");

  // The first tab was there first, so it runs the engine. It goes in the middle of a word.
  await second.page.locator(".body-editor .cm-content").press("ControlOrMeta+End");
  await second.page.keyboard.type(" fo");
  await first.page.close();
  await second.page.keyboard.type("ur five", { delay: 20 });
  await second.waitForText("nothing is lost or doubled on the way", (text) => text === "One two three four five");
  await second.until("and it is kept", () => second.get("status").innerText(), (words) => /saved on this device/.test(words));
  await second.reload();
  await second.waitForText("it is all there after a reload", (text) => text === "One two three four five");

  await relay.start();
  await second.waitForRelay(40_000);
  const ines = await Profile.open(t);
  const other = await ines.tab(second.page.url());
  await other.waitForText("and reaches someone else in the end", (text) => text === "One two three four five");
});
