import assert from "node:assert/strict";
import { type TestContext, after, before, test } from "node:test";
import type { Notes } from "./harness/notes.ts";
import { Profile } from "./harness/profile.ts";
import { Relay } from "./harness/relay.ts";

let relay: Relay;
before(async () => void (relay = await Relay.start()));
after(() => relay.close());

/** What the line across the window says; nothing where it is not there. */
const accessWords = (notes: Notes) => async (): Promise<string> => ((await notes.get("access").isVisible()) ? notes.get("access").innerText() : "");

/** Makes a link for one person, by the dialog. */
async function shareOnce(notes: Notes): Promise<string> {
  await notes.get("share").click();
  await notes.get("share-level-write").check();
  await notes.get("share-once").check();
  await notes.get("make-link").click();
  const link = await notes.until("the link is made", () => notes.get("share-link").inputValue(), (value) => value !== "");
  await notes.page.keyboard.press("Escape");
  return link;
}

/** Someone's notebook with a note. */
async function begun(t: TestContext): Promise<{ mara: Profile; left: Notes }> {
  const mara = await Profile.open(t);
  const left = await mara.tab(relay.url);
  await left.write("Shared", "One line.");
  await left.waitForRelay();
  return { mara, left };
}

/** Another browser, linked to one that is open, by its link and both people's yes. */
async function linked(t: TestContext, left: Notes): Promise<Notes> {
  await left.get("notebook").click();
  await left.get("devices-open").click();
  await left.get("link-device").click();
  const link = await left.until("the link is made", () => left.get("device-link").inputValue(), (value) => value !== "");
  assert.match(link, new RegExp(`^${relay.url}#device=[\\w-]+$`));
  assert.equal(await left.get("devices-sheet").locator("svg.qr").count(), 1);
  const right = await (await Profile.open(t)).tab(link);
  assert.ok(!right.page.url().includes("device="), right.page.url());
  await left.get("device-yes").waitFor();
  const codes = await Promise.all([left, right].map((side) => side.get("device-code").innerText()));
  assert.match(codes[0] ?? "", /^\d{3} \d{3}$/);
  assert.equal(codes[0], codes[1], "both show the same digits");
  await left.get("device-yes").click();
  await right.until("it is told", () => right.get("linked-notebooks").innerText(), (words) => words !== "");
  return right;
}

test("A link for one person lets in the first who opens it, also when its maker is away at first; and refuses the second, who is told so.", { timeout: 90_000 }, async (t) => {
  const { left } = await begun(t);
  const link = await shareOnce(left);
  assert.match(link, new RegExp(`^${relay.url}#once=[\\w-]+$`));
  await left.workOffline(true);
  const [ines, eve] = await Promise.all([Profile.open(t), Profile.open(t)]);
  const right = await ines.tab(link);
  assert.ok(!right.page.url().includes("once="), right.page.url());
  await right.until("it waits", accessWords(right), (words) => /^Waiting to be let in/.test(words));
  // Left and come back to, it waits on.
  await right.reload();
  await right.until("it waits again", accessWords(right), (words) => /^Waiting to be let in/.test(words));
  await left.workOffline(false);
  await right.open("Shared");
  await right.waitForText("it reads", (text) => text === "One line.");
  await right.append(" And mine.");
  await left.waitForText("it is on the left", (text) => text === "One line. And mine.");

  const outside = await eve.tab(link);
  await outside.until("the second is told", () => outside.get("toast").innerText(), (words) => /works once, and someone else has used it/.test(words));
  assert.equal(await outside.page.locator(".note", { hasText: "Shared" }).count(), 0);

  // One that is taken back lets nobody in.
  const unwanted = await shareOnce(left);
  await left.get("share").click();
  await left.get("members").locator("li", { hasText: "for one person" }).getByTestId("remove").click();
  await left.get("remove-really").click();
  await left.until("it is gone from the list", () => left.get("members").innerText(), (words) => !words.includes("for one person"));
  await left.page.keyboard.press("Escape");
  const late = await (await Profile.open(t)).tab(unwanted);
  await late.until("it is said", () => late.get("toast").innerText(), (words) => /taken back/.test(words));
});

test("A second browser is linked by a link and both people's yes: it has the notebook, and writes in it; and is told of one that is founded later.", { timeout: 90_000 }, async (t) => {
  const { left } = await begun(t);
  const right = await linked(t, left);
  await right.get("linked-notebooks").locator("a").first().click();
  await right.open("Shared");
  await right.waitForText("it reads", (text) => text === "One line.");
  await right.append(" From my phone.");
  await left.page.keyboard.press("Escape");
  await left.waitForText("it is on the left", (text) => text === "One line. From my phone.");
  await left.get("share").click();
  await left.until("it is shown as a device", () => left.get("members").innerText(), (words) => /a device of/.test(words));
  await left.page.keyboard.press("Escape");

  const first = await left.get("notebook").innerText();
  await left.get("notebook").click();
  await left.get("new-notebook").click();
  // Until it has its own name it is called as all are.
  const name = await left.until("there is a new one", () => left.get("notebook").innerText(), (words) => words !== first && words !== "Notebook");
  await left.write("Later", "Another.");
  await left.waitForRelay();
  await right.get("notebook").click();
  const listed = right.page.locator(".menu-list a", { hasText: name });
  await right.until("it is on the list", async () => {
    if (!(await listed.first().isVisible())) {
      await right.page.keyboard.press("Escape");
      await right.get("notebook").click();
    }
    return listed.count();
  }, (count) => count > 0);
  await listed.first().click();
  await right.open("Later");
  await right.waitForText("and opens", (text) => text === "Another.");
});

test("A device that is lost is shut out while both are there: within seconds it is said on its page, and nothing of it comes any more.", { timeout: 90_000 }, async (t) => {
  const { left } = await begun(t);
  const right = await linked(t, left);
  await right.get("linked-notebooks").locator("a").first().click();
  await right.open("Shared");
  await right.append(" Mine.");
  await left.page.keyboard.press("Escape");
  await left.waitForText("it has come", (text) => text === "One line. Mine.");
  await left.get("notebook").click();
  await left.get("devices-open").click();
  await left.get("unlink").click();
  await left.get("unlink-really").click();
  await right.until("it is told", accessWords(right), (words) => /^Removed/.test(words));
  await left.until("it is no longer listed", () => left.get("devices").locator("li").count(), (count) => count === 0);
  await left.page.keyboard.press("Escape");
  assert.equal(await right.page.locator(".body-editor .cm-content").getAttribute("aria-readonly"), "true");
  await left.append(" After.");
  await left.waitForRelay();
  assert.equal(await right.text(), "One line. Mine.");
});
