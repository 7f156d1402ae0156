import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Profile } from "./harness/profile.ts";
import { Relay } from "./harness/relay.ts";

let relay: Relay;
before(async () => void (relay = await Relay.start()));
after(() => relay.close());

test("The first visit: a new notebook with a name, a link of its own, and a note that shows around.", async (t) => {
  const mara = await Profile.open(t);
  const notes = await mara.tab(relay.url);
  assert.equal(await notes.until("a note is open", () => notes.text("title"), (title) => title !== ""), "Welcome aboard");
  assert.match(new URL(notes.page.url()).hash, /^#[1-9A-HJ-NP-Za-km-z]{20,40}\/[1-9A-HJ-NP-Za-km-z]{20,40}$/);
  await notes.page.locator(".md-task").first().click();
  await notes.waitForText("a box is ticked by a click", (text) => text.includes("- [x] Press"));
  await notes.waitForRelay();
});

test("The share link opens the same notebook for someone else; renaming it is seen by both, and it is in both lists of recent ones.", async (t) => {
  const [mara, ines] = await Promise.all([Profile.open(t), Profile.open(t)]);
  await mara.context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const left = await mara.tab(relay.openNotebook());
  await left.write("Shared", "By link.");
  await left.get("share").click();
  const link = await left.get("share-link").inputValue();
  await left.get("copy-link").click();
  assert.equal(await left.page.evaluate(() => navigator.clipboard.readText()), link);
  assert.ok(link.startsWith(`${relay.url}#`), link);
  const right = await ines.tab(link);
  await right.open("Shared");
  await right.waitForText("it reads the same", (text) => text === "By link.");
  await right.get("notebook").click();
  await right.get("notebook-name").fill("North Pier Crew");
  await right.page.keyboard.press("Enter");
  for (const notes of [left, right]) await notes.until("both see the name", () => notes.get("notebook").innerText(), (name) => name.trim() === "North Pier Crew");
  // Another notebook, and back by the list of recent ones.
  await left.get("notebook").click();
  await left.get("new-notebook").click();
  await left.until("a new notebook is open", async () => left.page.url(), (url) => !url.startsWith(link));
  await left.get("notebook").click();
  await left.page.getByRole("link", { name: "North Pier Crew" }).click();
  await left.open("Shared");
});

test("Someone opens a link to a note with ?relay= and gives it on: the link keeps the relay.", async (t) => {
  const mara = await Profile.open(t);
  const notes = await mara.tab(`${relay.url}?relay=${encodeURIComponent(relay.endpoint)}&else=1#beside`);
  await notes.waitForRelay();
  await notes.get("share").click();
  const link = new URL(await notes.get("share-link").inputValue());
  assert.equal(link.searchParams.get("relay"), relay.endpoint);
  assert.equal(link.searchParams.get("else"), null);
});

test("A note is deleted by mistake and brought back, at once or later, also by someone else.", async (t) => {
  const [mara, ines] = await Promise.all([Profile.open(t), Profile.open(t)]);
  const left = await mara.tab(relay.openNotebook());
  await left.write("Keep me", "Please.");
  await left.waitForRelay();
  const right = await ines.tab(left.page.url());
  await right.waitForText("it has arrived", (text) => text === "Please.");
  await left.get("more").click();
  await left.get("delete").click();
  await left.page.locator(".note", { hasText: "Keep me" }).waitFor({ state: "detached" });
  await right.get("restore").waitFor();
  await left.get("toast-action").click();
  await left.page.locator(".note", { hasText: "Keep me" }).waitFor();
  await right.get("restore").waitFor({ state: "hidden" });
  // Once more, and the other brings it back.
  await left.page.locator(".note", { hasText: "Keep me" }).focus();
  await left.page.keyboard.press("Delete");
  await right.get("restore").click();
  await left.page.locator(".note", { hasText: "Keep me" }).waitFor();
});

test("Search finds words anywhere in all notes, whatever the case and accents, and a note without a title goes by its first line.", async (t) => {
  const mara = await Profile.open(t);
  const notes = await mara.tab(relay.url);
  await notes.write("Provisions", "Coffee, rope, lamp oil");
  await notes.write("", "# Å lesund harbour\n\nThey close at four.");
  const rows = (): Promise<string[]> => notes.page.locator(".note-headline").allInnerTexts();
  await notes.until("the first line is the headline", rows, (all) => all[0] === "Å lesund harbour");
  await notes.get("search").fill("ROPE");
  await notes.until("one is found", rows, (all) => all.join() === "Provisions");
  await notes.get("search").fill("a lesund four");
  await notes.until("one is found", rows, (all) => all.join() === "Å lesund harbour");
  await notes.get("search").fill("nowhere at all");
  await notes.until("none is found, and it is said", () => notes.page.locator(".notes-empty").innerText(), (words) => words.includes("nowhere at all"));
  await notes.get("search").press("Escape");
  await notes.until("all are back", rows, (all) => all.length === 3);
});

test("An empty notebook opened by name invites to write the first note.", async (t) => {
  const mara = await Profile.open(t);
  const notes = await mara.tab(`${relay.url}#nobody-was-here`);
  await notes.get("create-first").click();
  await notes.page.keyboard.type("First");
  await notes.until("it is in the list", () => notes.page.locator(".note-headline").allInnerTexts(), (all) => all.join() === "First");
  await notes.waitForRelay();
});

test("Markdown as a page: what others wrote becomes neither markup nor script, and links lead only to the web.", async (t) => {
  const mara = await Profile.open(t);
  const notes = await mara.tab(relay.url);
  await notes.write("Page", "# Head\n\nA **bold** word, `code`, [web](https://example.org), [bad](javascript:alert(1)).\n\n<img src=x onerror=alert(1)>\n\n- [x] done\n- open\n\n1. one\n\n> quoted");
  await notes.get("read").click();
  const page = notes.page.locator(".reading");
  assert.equal(await page.getByRole("heading", { name: "Head", level: 3 }).innerText(), "Head");
  assert.equal(await page.locator("strong").innerText(), "bold");
  assert.deepEqual(await page.locator("a").evaluateAll((links) => links.map((link) => (link as HTMLAnchorElement).href)), ["https://example.org/"]);
  assert.equal(await page.locator("img, script").count(), 0);
  assert.match(await page.innerText(), /onerror=alert/);
});

test("A notebook of sixty notes: all of them are known to be on the relay after a reload, and after a reload by someone who only reads.", { timeout: 90_000 }, async (t) => {
  const [mara, ines] = await Promise.all([Profile.open(t), Profile.open(t)]);
  const left = await mara.tab(relay.openNotebook());
  for (let count = 1; count <= 60; count += 1) {
    await left.page.keyboard.press("ControlOrMeta+Alt+n");
    await left.page.keyboard.insertText(`Note ${count}`);
  }
  const rows = (notes: typeof left) => (): Promise<number> => notes.page.locator(".note").count();
  await left.until("all are in the list", rows(left), (count) => count === 60);
  await left.waitForRelay();
  const right = await ines.tab(left.page.url());
  await right.until("all have arrived", rows(right), (count) => count === 60);
  for (const notes of [left, right]) {
    await notes.reload();
    await notes.until("all are there again", rows(notes), (count) => count === 60);
    await notes.waitForRelay();
  }
});
