import assert from "node:assert/strict";
import { type TestContext, after, before, test } from "node:test";
import { alteredSite } from "./harness/altered-site.ts";
import type { Notes } from "./harness/notes.ts";
import { Profile } from "./harness/profile.ts";
import { Relay } from "./harness/relay.ts";

/** How soon someone who is removed is told. */
const TOLD_MS_MAX = 1_000;

let relay: Relay;
before(async () => void (relay = await Relay.start()));
after(() => relay.close());

interface Shared {
  left: Notes;
  right: Notes;
  link: string;
  mara: Profile;
  ines: Profile;
}

/** Someone's new notebook with a note, and someone else's browser that came in by a link. */
async function shared(t: TestContext, level: "read" | "write", body = "One line."): Promise<Shared> {
  const [mara, ines] = await Promise.all([Profile.open(t), Profile.open(t)]);
  const left = await mara.tab(relay.url);
  await left.write("Shared", body);
  await left.waitForRelay();
  const link = await left.share(level, "", "Ines");
  const right = await ines.tab(link);
  await right.open("Shared");
  await right.waitForText("the note has arrived", (text) => text === body);
  return { left, right, link, mara, ines };
}

/** What the line across the window says; nothing where it is not there. */
const accessWords = (notes: Notes) => async (): Promise<string> => ((await notes.get("access").isVisible()) ? notes.get("access").innerText() : "");

test("A notebook is shared by a link to write. Whoever opens it writes along, and the link is gone from the address bar and the history.", { timeout: 60_000 }, async (t) => {
  const { left, right, link } = await shared(t, "write");
  assert.match(link, new RegExp(`^${relay.url}#join=[\\w-]+$`));
  const address = right.page.url();
  assert.ok(!address.includes("join="), address);
  await right.page.goBack().catch(() => null);
  assert.ok(!right.page.url().includes("join="), right.page.url());
  if (right.page.url() !== address) await right.page.goForward();
  await right.open("Shared");
  assert.equal(await accessWords(right)(), "");
  await right.append(" And mine.");
  await left.waitForText("it is on the left", (text) => text === "One line. And mine.");
  await right.waitForRelay();

  // Who it was is proved, and named.
  await left.get("writers").click();
  const writers = (): Promise<string[]> => left.get("writers-list").locator("li").allInnerTexts();
  await left.until("both are named, and have vouched for what they wrote", writers, (all) => all.length === 2 && all.every((line) => /all signed and checked/.test(line)) && all.some((line) => /\(you\)/.test(line)));
  await left.page.keyboard.press("Escape");

  // A member cannot let others in, and is told who can; by the address alone nobody comes in.
  await right.get("share").click();
  assert.equal(await right.get("make-link").isVisible(), false);
  await right.page.keyboard.press("Escape");
  const eve = await Profile.open(t);
  const outside = await eve.tab(left.page.url());
  await outside.until("whoever has the address alone is not let in", accessWords(outside), (words) => /has not let this device in/.test(words));
  assert.equal(await outside.phase(), "apart");
  assert.equal(await outside.page.locator(".note").count(), 0);
  // And the same browser comes back to the notebook without the link.
  await right.reload();
  await right.waitForText("it is there again", (text) => text === "One line. And mine.");
  await right.append(" Back.");
  await left.waitForText("and goes on", (text) => text === "One line. And mine. Back.");
});

test("With a link to read nothing can be written: not on the page, and not past it, because the relay refuses.", { timeout: 60_000 }, async (t) => {
  const { left, right, link } = await shared(t, "read");
  assert.match(await right.until("it is said", accessWords(right), (words) => words !== ""), /^Read only\. You may read this notebook, and not write in it\./);
  for (const control of ["create", "delete"]) assert.equal(await right.get(control).isVisible(), false, control);
  const body = right.page.locator(".body-editor .cm-content");
  assert.deepEqual([await body.getAttribute("aria-readonly"), await body.getAttribute("contenteditable")], ["true", "false"]);
  await body.focus();
  await right.page.keyboard.type("x");
  await right.page.keyboard.press("Enter");
  await right.page.keyboard.press("Control+b");
  await right.page.keyboard.press("Control+Alt+n");
  await right.page.keyboard.insertText("pasted");
  await left.append(" More.");
  await right.waitForText("what others write still comes, and nothing else", (text) => text === "One line. More.");
  assert.equal(await right.page.locator(".note").count(), 2, "no note was made");
  await right.waitForRelay();

  // Past the page: one that was changed to believe that it may write shows what is typed, and the relay takes none of it.
  let isAltered = false;
  const site = await alteredSite(t, relay, (path, text) => {
    const altered = path.endsWith(".js") ? text.replace(/mayWrite:[\w$]+\([\w$]+,(["'`])write\1\)/, "mayWrite:!0") : text;
    isAltered ||= altered !== text;
    return altered;
  });
  const bold = await (await Profile.open(t)).tab(`${site}${new URL(link).hash}`);
  assert.ok(isAltered);
  await bold.open("Shared");
  await bold.waitForText("it may read", (text) => text === "One line. More.");
  await bold.append(" Forced.");
  await bold.until("the relay says why it takes nothing", () => bold.get("toast").innerText(), (words) => /not taken.*less than write/.test(words));
  assert.equal(await bold.text(), "One line. More. Forced.");
  await left.append(" Last.");
  await right.waitForText("nobody else has it", (text) => text === "One line. More. Last.");
});

test("Someone is removed while both are there. Within a second it is said on their page, which keeps what it had; and nothing of theirs comes any more.", { timeout: 60_000 }, async (t) => {
  const { left, right } = await shared(t, "write");
  await right.append(" Mine.");
  await left.waitForText("it has come", (text) => text === "One line. Mine.");
  await right.waitForRelay();
  await left.get("share").click();
  const member = left.get("members").locator("li", { hasText: "can write" }).filter({ hasNotText: "Link" });
  await member.getByTestId("remove").click();
  assert.match(await left.get("members").locator(".question").innerText(), /They keep what they have, and get nothing new/);
  const told = right.until("it is said", accessWords(right), (words) => words !== "", 5_000);
  await left.get("remove-really").click();
  const removed = Date.now();
  assert.match(await told, /^Removed\. You were removed from this notebook\. You keep the notes/);
  const took = Date.now() - removed;
  t.diagnostic(`told after ${took} ms`);
  assert.ok(took < TOLD_MS_MAX, `told after ${took} ms`);
  await left.until("they are gone from the list", () => left.get("members").innerText(), (words) => !/Remove/.test(words));
  await left.page.keyboard.press("Escape");
  assert.equal(await right.phase(), "apart");
  await right.page.locator(".body-editor .cm-content").focus();
  await right.page.keyboard.type(" Still?");
  await left.append(" Later.");
  await left.waitForRelay();
  assert.equal(await right.text(), "One line. Mine.", "what one had stays, and nothing new comes");
  assert.equal(await left.text(), "One line. Mine. Later.");
  // Also after a reload, and from a new link for someone who was removed.
  await right.reload();
  await right.until("it is still said", accessWords(right), (words) => /^Removed/.test(words));
  await right.open("Shared");
  await right.waitForText("and kept", (text) => text === "One line. Mine.");
  const again = await left.share("write");
  await right.page.goto(again);
  await right.until("they are in again", accessWords(right), (words) => words === "");
  await right.open("Shared");
  await right.waitForText("with all that was written meanwhile", (text) => text === "One line. Mine. Later.");
  await right.append(" Back.");
  await left.waitForText("and write", (text) => text === "One line. Mine. Later. Back.");
});

test("Both go offline in an owned notebook, change the same line, and come back: nothing is lost, and all of it is vouched for.", { timeout: 60_000 }, async (t) => {
  const { left, right } = await shared(t, "write", "We meet at six.");
  for (const notes of [left, right]) {
    await notes.workOffline(true);
    await notes.waitForPhase(["offline"]);
  }
  await left.place("We meet ".length);
  await left.page.keyboard.type("by the pier ");
  await right.append(" Bring tea.");
  await right.reload();
  await right.waitForText("the right kept its words", (text) => text === "We meet at six. Bring tea.");
  for (const notes of [left, right]) await notes.workOffline(false);
  const wanted = "We meet by the pier at six. Bring tea.";
  await left.waitForText("the left has both", (text) => text === wanted);
  await right.waitForText("the right has both", (text) => text === wanted);
  await right.get("writers").click();
  const writers = (): Promise<string[]> => right.get("writers-list").locator("li").allInnerTexts();
  await right.until("all of it is vouched for", writers, (all) => all.length === 2 && all.every((line) => /all signed and checked/.test(line)));
});

test("A link that was taken back, and one that was cut short, let nobody in, and it is said in words.", { timeout: 60_000 }, async (t) => {
  const [mara, ines] = await Promise.all([Profile.open(t), Profile.open(t)]);
  const left = await mara.tab(relay.url);
  await left.waitForRelay();
  const link = await left.share("write", "7", "Spring");
  await left.get("share").click();
  await left.get("members").locator("li", { hasText: "Link “Spring”" }).getByTestId("remove").click();
  await left.get("remove-really").click();
  await left.until("it is off the list", () => left.get("members").innerText(), (words) => !/Spring/.test(words));
  await left.waitForRelay();
  const cut = await ines.tab(link.slice(0, -5));
  assert.match(await cut.get("toast").innerText(), /The link is not good/);
  assert.ok(!cut.page.url().includes("join="), cut.page.url());
  await cut.page.goto(link);
  await cut.until("it was taken back", accessWords(cut), (words) => /^Not let in\..*taken back/.test(words));
});

test("By keyboard alone: share to write, see the link in the list, and take it back; the focus is never lost.", { timeout: 60_000 }, async (t) => {
  const mara = await Profile.open(t);
  const notes = await mara.tab(relay.url);
  const { keyboard } = notes.page;
  const focused = (): Promise<string> => notes.page.evaluate(() => (document.activeElement as HTMLElement | null)?.dataset["testid"] ?? document.activeElement?.tagName ?? "");
  const walkTo = async (testId: string): Promise<void> => {
    for (let step = 0; step < 20 && (await focused()) !== testId; step += 1) await keyboard.press("Tab");
    assert.equal(await focused(), testId);
  };
  await notes.waitForRelay();
  await notes.get("share").focus();
  await keyboard.press("Enter");
  await walkTo("share-level-read");
  await keyboard.press("ArrowRight");
  assert.equal(await focused(), "share-level-write");
  await walkTo("share-for");
  await keyboard.type("Keys");
  await keyboard.press("Enter");
  const lines = (): Promise<string[]> => notes.get("members").locator("li").allInnerTexts();
  await notes.until("the link is in the list", lines, (all) => all.some((line) => /Link “Keys”\s+can write, not used yet/.test(line)));
  await walkTo("remove");
  await keyboard.press("Enter");
  assert.equal(await focused(), "remove-really", "the question has the focus");
  await keyboard.press("Tab");
  await keyboard.press("Enter");
  assert.equal(await focused(), "remove", "kept: back to where one was");
  await keyboard.press("Enter");
  await keyboard.press("Enter");
  await notes.until("it is taken back", lines, (all) => !all.some((line) => /Keys/.test(line)));
  assert.notEqual(await focused(), "BODY");
  await keyboard.press("Escape");
  assert.equal(await focused(), "share");
});
